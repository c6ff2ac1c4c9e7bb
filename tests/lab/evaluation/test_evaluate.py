"""A learner on a stream: what is counted, what is asked and told, and what the report says about it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from softmax_by_descent import SoftmaxByDescent, stream

from engram.heads import HEADS, make
from engram.lab.evaluation import Report, compare, evaluate
from engram.lab.streams import (
    Stream,
    blurry,
    class_incremental,
    data_incremental,
    domain_incremental,
    flattened,
    from_arrays,
    one_by_one,
    permuted,
    task_incremental,
)
from engram.learner import InputError, LabelError, Learner


class Recording:
    """A nearest class mean that writes down what it is told and asked."""

    def __init__(self, boundaries=False):
        self.exact, self.boundaries = True, boundaries
        self.head = make("nearest_class_mean")
        self.calls = []

    def learn(self, inputs, targets):
        self.calls.append(("learn", np.array(inputs), list(targets)))
        self.head.learn(inputs, targets)

    def predict(self, inputs, among=None):
        self.calls.append(("predict", np.array(inputs), among))
        return self.head.predict(inputs, among)

    def consolidate(self):
        self.calls.append(("consolidate",))
        return self.head.consolidate()

    def verbs(self):
        return [call[0] for call in self.calls]


def blobs(classes=6, each=30, noise=0.6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    return from_arrays(rng.normal(size=(classes, 8))[labels] + noise * rng.normal(size=(len(labels), 8)), labels)


STREAMS = {
    "class": lambda: class_incremental(blobs()),
    "task": lambda: task_incremental(blobs()),
    "domain": lambda: domain_incremental(blobs()),
    "blurry": lambda: blurry(blobs(), mixed=0.3),
    "data": lambda: data_incremental(blobs(), 4),
    "one by one": lambda: one_by_one(blobs(), 3),
    "permuted": lambda: permuted(blobs(), 3),
}


@pytest.mark.parametrize("arrival", STREAMS)
def test_the_matrix_is_that_of_teaching_and_asking_by_hand(arrival):
    arriving = STREAMS[arrival]()
    report = evaluate(make("nearest_class_mean"), arriving)
    head, right, seen = make("nearest_class_mean"), {}, []
    for i, experience in enumerate(arriving):
        head.learn(experience.inputs, experience.labels)
        for j, other in enumerate(arriving):
            known = other.among is None or set(other.among) <= set(head.labels)
            best = head.predict(other.test.inputs, other.among).best if known else [None] * len(other.test)
            hits = [answer == truth for answer, truth in zip(best, other.test.labels.tolist(), strict=True)]
            assert report.matrix[i, j] == pytest.approx(np.mean(hits))
            right[j] = hits
        seen = list({id(arriving[j].test): right[j] for j in range(i + 1)}.values())
        assert report.any_time[i] == pytest.approx(np.mean(np.concatenate(seen)))
    assert (report.untaught == 0).all()
    assert report.complete


@pytest.mark.parametrize("name", HEADS)
def test_every_head_learns_from_raw_pixels(name):
    pictures = np.random.default_rng(0).integers(0, 256, (4, 5, 5), np.uint8)[np.repeat(np.arange(4), 12)]
    noisy = pictures // 2 + np.random.default_rng(1).integers(0, 100, pictures.shape, np.uint8)
    arriving = class_incremental(from_arrays(noisy, np.repeat(np.arange(4), 12)).map(flattened))
    head = make(name)
    assert isinstance(head, Learner)
    report = evaluate(head, arriving)
    assert report.accuracy > 0.8
    assert report.costs[-1].bytes == head.memory_bytes
    assert report.costs[0].examples == len(arriving[0].train)
    assert report.trained is head


def test_boundaries_are_told_to_those_who_want_to_know():
    for boundaries in (False, True):
        learner = Recording(boundaries)
        evaluate(learner, STREAMS["class"]())
        assert learner.verbs().count("consolidate") == (3 if boundaries else 0)
    kinds = learner.verbs()
    assert [kinds[i + 1] for i, kind in enumerate(kinds) if kind == "learn"] == ["consolidate"] * 3


def test_a_task_limits_the_answers_and_one_by_one_means_it():
    learner = Recording()
    evaluate(learner, STREAMS["task"]())
    assert {call[2] for call in learner.calls if call[0] == "predict"} == {(0, 1), (2, 3), (4, 5)}
    learner = Recording()
    evaluate(learner, STREAMS["one by one"]())
    taught = [call for call in learner.calls if call[0] == "learn"]
    assert len(taught) == 144
    assert all(call[1].shape == (1, 8) and len(call[2]) == 1 for call in taught)


def test_a_test_part_that_is_shared_is_asked_about_once():
    learner = Recording()
    report = evaluate(learner, STREAMS["data"]())
    assert learner.verbs().count("predict") == 5
    assert report.matrix.shape == (4, 4)
    assert (report.matrix == report.matrix[:, :1]).all()


def test_what_two_experiences_share_counts_once_in_what_was_seen():
    first, second, third = STREAMS["class"]()
    arriving = Stream("shared", (first, second, replace(third, test=first.test)))
    report = evaluate(make("nearest_class_mean"), arriving)
    hits, sizes = np.array(report.right)[2].sum(axis=1), [len(first.test), len(second.test)]
    assert report.any_time[2] == pytest.approx(hits.sum() / sum(sizes))
    assert (report.matrix[:, 0] == report.matrix[:, 2]).all()


def test_without_forward_the_future_is_not_asked_about():
    learner = Recording()
    report = evaluate(learner, STREAMS["class"](), forward=False)
    assert learner.verbs().count("predict") == 3 + 1 + 2 + 3
    assert np.isnan(report.matrix[np.triu_indices(3, 1)]).all()
    assert not np.isnan(report.matrix[np.tril_indices(3)]).any()
    assert np.isnan(report.forward_transfer)
    assert report.figures()["FWT"] is None
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_forgetting_is_told_for_every_class():
    report = evaluate(SoftmaxByDescent(12, seed=1), stream())
    each = report.forgetting_of_each
    assert list(each) == list(range(8))
    assert all(np.isnan(each[label]) for label in (6, 7))
    recalls = np.array(report.right)[:, 0, 0] / report.totals[0][0]
    assert each[0] == pytest.approx(recalls[:3].max() - recalls[3])
    assert report.forgetting > 0.1
    assert report.forgetting >= -report.backward_transfer - 1e-12


def test_costs_are_what_the_learner_tells_and_none_where_it_does_not():
    report = evaluate(SoftmaxByDescent(12), stream())
    assert [cost.multiply_adds for cost in report.costs] == [24, 48, 72, 96]
    assert report.costs[0].samples == 0
    assert report.costs[-1].bytes == sum(array.nbytes for array in report.trained.state().values())
    recorded = evaluate(Recording(), STREAMS["class"]())
    assert (recorded.costs[0].bytes, recorded.costs[0].samples, recorded.costs[0].multiply_adds) == (None, None, None)
    assert recorded.seconds["learning"] > 0
    assert recorded.seconds["asking"] > 0


@pytest.mark.parametrize("arrival", STREAMS)
def test_a_report_survives_json(arrival, tmp_path):
    report = evaluate(make("streaming_lda"), STREAMS[arrival](), out=tmp_path, name="lda")
    assert Report.read(tmp_path / "report.json") == report
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["figures"]["accuracy"] == pytest.approx(report.accuracy)
    assert document["learner"]["name"] == "lda"
    assert document["learner"]["config"]["normalise"] is True
    columns, rows = report.table()
    assert len(rows) == len(report.experiences)
    assert all(len(row) == len(columns) for row in rows)


def test_the_table_of_a_long_stream_stays_narrow():
    report = evaluate(make("nearest_class_mean"), class_incremental(blobs(11), per=1))
    columns, rows = report.table()
    assert columns == ("after", "on it", "so far", "bytes", "seconds")
    assert [row[1] for row in rows] == [f"{100 * x:.1f}" for x in report.matrix.diagonal()]


def test_text_labels_stay_texts(tmp_path):
    data = from_arrays(np.repeat(np.eye(4), 5, axis=0), np.repeat(["a", "b", "c", "d"], 5))
    report = evaluate(make("fast"), class_incremental(data), out=tmp_path)
    assert report.classes == ("a", "b", "c", "d")
    assert report.accuracy == 1.0
    assert Report.read(tmp_path / "report.json").classes == ("a", "b", "c", "d")


def test_progress_runs_from_the_first_question_to_the_end():
    told = []
    evaluate(make("nearest_class_mean"), STREAMS["class"](), progress=lambda *call: told.append(call))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert {total for _, total, _ in told} == {15}
    assert told[-1] == (15, 15, "done")
    assert (3, 15, "learning 0, 1") in told


def test_what_a_learner_refuses_is_not_hidden():
    class Stubborn(Recording):
        def predict(self, inputs, among=None):
            raise LabelError("no")

    with pytest.raises(LabelError):
        evaluate(Stubborn(), STREAMS["class"]())
    arriving = class_incremental(blobs())
    with pytest.raises(InputError, match="vectors"):
        evaluate(make("fast"), arriving.map(lambda inputs: inputs.reshape(-1, 2, 4)))


def test_many_learners_side_by_side_over_seeds(tmp_path):
    learners = {"mean": lambda seed: make("nearest_class_mean"),
                "descent": lambda seed: SoftmaxByDescent(8, seed=seed)}
    found = compare(learners, lambda seed: class_incremental(blobs(), seed=seed), seeds=3, out=tmp_path)
    columns, rows = found.table()
    accuracies = [report.accuracy for report in found.reports["descent"]]
    assert len(set(accuracies)) > 1
    cell = dict(zip(columns, rows[1], strict=True))["accuracy (%)"]
    assert cell == f"{100 * np.mean(accuracies):.1f} ± {100 * np.std(accuracies, ddof=1):.1f}"
    assert dict(zip(columns, rows[0], strict=True))["samples"] is None
    document = json.loads(json.dumps(found.to_json()))
    assert document["learners"]["descent"]["figures"]["accuracy"]["values"] == pytest.approx(accuracies)
    assert (tmp_path / "descent" / "seed-2" / "report.json").exists()
    told = []
    again = compare(learners, lambda seed: class_incremental(blobs(), seed=seed), seeds=3, out=tmp_path,
                    progress=lambda *call: told.append(call))
    assert again == found
    assert [done for done, _, _ in told] == [167, 333, 500, 667, 833, 1000]


def test_every_seed_makes_a_learner_of_its_own_and_a_stream_may_stay():
    seeds = []
    compare({"mean": lambda seed: seeds.append(seed) or make("nearest_class_mean")}, STREAMS["class"](), seeds=[4, 7])
    assert seeds == [4, 7]


def test_a_picture_shows_every_learner_and_experience():
    matplotlib = pytest.importorskip("matplotlib")
    from engram.lab.evaluation.plots import save_svg

    found = compare({"mean": lambda seed: make("nearest_class_mean"), "lda": lambda seed: make("streaming_lda")},
                    STREAMS["class"]())
    first, second = io.BytesIO(), io.BytesIO()
    save_svg(found.plot(), first)
    save_svg(found.plot(), second)
    text = first.getvalue().decode()
    assert all(name in text for name in ("mean", "lda", "2, 3", "accuracy on all seen so far", "class-incremental"))
    assert matplotlib.__version__
    assert first.getvalue() == second.getvalue()


def test_nothing_to_compare_is_refused():
    with pytest.raises(InputError, match="at least one learner"):
        compare({}, STREAMS["class"]())
    with pytest.raises(InputError, match="at least one learner and one seed"):
        compare({"mean": lambda seed: make("nearest_class_mean")}, STREAMS["class"](), seeds=0)


@pytest.mark.parametrize(("learner", "says"), [
    ("fast", "Pass a learner instance, .*not 'fast'"), (Recording, "Pass a learner instance, .*not Recording"),
])
def test_a_name_or_a_class_is_no_learner(learner, says):
    with pytest.raises(InputError, match=says):
        evaluate(learner, STREAMS["class"]())


def test_what_a_learner_of_ones_own_lacks_is_named():
    class Half:
        exact = boundaries = False

        def learn(self, inputs, targets): ...

    with pytest.raises(InputError, match=r"Half is not a learner: it lacks predict, consolidate\.$"):
        evaluate(Half(), STREAMS["class"]())


def test_a_data_set_is_no_stream():
    with pytest.raises(InputError, match=r"A DataSet is not a stream: .*class_incremental"):
        evaluate(make("fast"), blobs())
    with pytest.raises(InputError, match=r"A DataSet is not a stream: .*class_incremental"):
        compare({"fast": lambda seed: make("fast")}, blobs())


def test_learners_are_compared_fresh_from_a_seed():
    with pytest.raises(InputError, match="'a': pass a function that makes a fresh learner from a seed"):
        compare({"a": make("ridge")}, STREAMS["class"]())


def half_untaught():
    """Two classes are taught and asked about, ten test examples; fifty more are of two classes that are not taught."""
    rows = np.eye(4)
    asked = np.repeat([0, 1, 2, 3], [5, 5, 20, 30])
    return from_arrays(rows[np.repeat([0, 1], 5)], np.repeat([0, 1], 5), rows[asked], asked)


@pytest.mark.parametrize("arrival", [class_incremental, task_incremental, domain_incremental])
def test_test_examples_of_classes_never_taught_are_told_where_they_are_not_asked_about(arrival, tmp_path):
    report = evaluate(make("nearest_class_mean"), arrival(half_untaught()).map(flattened), out=tmp_path)
    assert report.accuracy == 1.0
    assert report.left_out == ((2, 20), (3, 30))
    assert report.figures()["left-out"] == 50
    sentence = "50 of 60 test examples were not asked about, their classes are never taught: 2 (20), 3 (30)"
    assert report.omission() == sentence
    assert sentence in repr(report)
    read = Report.read(tmp_path / "report.json")
    assert read.left_out == report.left_out
    assert json.loads((tmp_path / "report.json").read_text())["figures"]["left-out"] == 50


def test_test_examples_of_classes_never_taught_count_as_wrong_where_the_whole_test_part_is_asked_about():
    for arrival in (data_incremental, one_by_one):
        report = evaluate(make("nearest_class_mean"), arrival(half_untaught(), 2).map(flattened))
        assert report.left_out == ()
        assert report.any_time[-1] == 10 / 60


def test_classes_in_no_group_are_told_and_a_report_that_does_not_say_is_read():
    stream = class_incremental(blobs(), groups=[[5], [0, 1]])
    report = evaluate(make("nearest_class_mean"), stream)
    assert [label for label, _ in report.left_out] == [2, 3, 4]
    assert class_incremental(blobs(), groups=[[5]], held_out=0.2).validation().left_out == ()
    earlier = {name: value for name, value in report.to_json().items() if name != "left_out"}
    assert Report.from_json(earlier).left_out == ()
    whole = evaluate(make("nearest_class_mean"), class_incremental(blobs()))
    assert whole.left_out == ()
    assert whole.omission() == ""
    assert whole.figures()["left-out"] is None
    assert "left-out" not in compare({"mean": lambda seed: make("nearest_class_mean")},
                                     class_incremental(blobs())).table()[0]


def test_asking_while_an_experience_is_learned_is_teaching_and_asking_portion_by_portion():
    arriving, by_hand = class_incremental(blobs()), make("nearest_class_mean")
    report = evaluate(make("nearest_class_mean"), arriving, every=25)
    for i, experience in enumerate(arriving):
        asked = []
        for start in range(0, len(experience.train), 25):
            part = slice(start, start + 25)
            by_hand.learn(experience.train.inputs[part], experience.train.labels[part])
            asked.append((min(start + 25, len(experience.train)), *(
                sum(best == label for best, label in zip(by_hand.predict(other.test.inputs).best, other.test.labels,
                                                         strict=True)) if number < i else -1
                for number, other in enumerate(arriving))))
        assert list(report.during[i]) == asked
    assert report.worst_case <= report.accuracy
    assert {"worst-case", "gap"} <= {name for name, value in report.figures().items() if value is not None}


def test_an_evaluation_that_asks_on_the_way_is_resumed_as_such(tmp_path):
    evaluate(make("nearest_class_mean"), class_incremental(blobs()), every=25, out=tmp_path)
    again = evaluate(make("nearest_class_mean"), class_incremental(blobs()), every=25, out=tmp_path)
    assert len(again.during) == 3
    with pytest.raises(InputError, match="every=25"):
        evaluate(make("nearest_class_mean"), class_incremental(blobs()), out=tmp_path)
    with pytest.raises(InputError, match="at least 1"):
        evaluate(make("nearest_class_mean"), class_incremental(blobs()), every=0)
