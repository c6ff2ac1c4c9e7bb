"""Each method does what its paper says, against independent computations."""

from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from engram.lab.evaluation import evaluate  # noqa: E402
from engram.lab.streams import class_incremental, from_arrays  # noqa: E402
from engram.learner import InputError  # noqa: E402
from engram.networks.strategies.distillation import agreement  # noqa: E402
from engram.networks.strategies.elastic_weight_consolidation import ElasticWeightConsolidation  # noqa: E402
from engram.networks.strategies.experience_replay import ExperienceReplay  # noqa: E402
from engram.networks.strategies.joint import Joint  # noqa: E402
from engram.networks.strategies.learning_without_forgetting import LearningWithoutForgetting  # noqa: E402
from engram.networks.strategies.naive import Naive  # noqa: E402
from engram.networks.structure.evaluation_mode import evaluating  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [6], "hidden": [32]}
FAST = {"epochs": 15, "batch": 16, "learning_rate": 0.01}


def task(number: int, each: int = 40) -> tuple[np.ndarray, list[int]]:
    """Two classes of their own, 2k and 2k + 1, told apart along an axis of their own."""
    rng = np.random.default_rng(number)
    labels = rng.integers(0, 2, 2 * each)
    inputs = 0.3 * rng.normal(size=(2 * each, 6))
    inputs[:, number] += 2.0 * labels - 1
    inputs[:, 5] += number
    return inputs.astype(np.float32), (labels + 2 * number).tolist()


def crossed(number: int) -> tuple[np.ndarray, list[int]]:
    """As `task`, but what tells the others apart is there too, and misleads: XOR with the next axis."""
    rng = np.random.default_rng(number)
    inputs = rng.normal(size=(200, 6)).astype(np.float32)
    labels = (inputs[:, number] * inputs[:, number + 1] > 0).astype(int)
    return inputs, (labels + 2 * number).tolist()


def through(learner, tasks: int = 4):
    """Taught task after task, with a consolidation after each."""
    for number in range(tasks):
        learner.learn(*task(number))
        learner.consolidate()
    return learner


def accuracy(learner, tasks: int = 4, told: bool = False) -> float:
    shares = []
    for number in range(tasks):
        inputs, labels = task(number)
        among = [2 * number, 2 * number + 1] if told else None
        shares.append(np.mean([a == b for a, b in zip(learner.predict(inputs, among).best, labels, strict=True)]))
    return float(np.mean(shares))


def ewc(**settings):
    return ElasticWeightConsolidation(NETWORK, **{**FAST, "samples": 80, **settings})


METHODS = {
    "replay": partial(ExperienceReplay, NETWORK, capacity=24, **FAST),
    "joint": partial(Joint, NETWORK, **FAST),
    "ewc": ewc,
    "online ewc": partial(ewc, decay=0.9),
    "ewc, told the task": partial(ewc, active="experience", strength=10.0, samples=200),
    "lwf": partial(LearningWithoutForgetting, NETWORK, **FAST),
    "lwf, told the task": lambda **more: LearningWithoutForgetting(NETWORK, active="experience", **{**FAST, **more}),
}


@pytest.mark.parametrize("method", METHODS)
def test_saved_between_experiences_it_goes_on_alike(method):
    learner = through(METHODS[method](), 2)
    learner.learn(*task(2))  # in the midst of an experience
    twin = type(learner).from_state(learner.state())
    for one in (learner, twin):
        one.consolidate()
        one.learn(*task(3))
    inputs = task(1)[0]
    assert np.array_equal(learner.predict(inputs).scores, twin.predict(inputs).scores)
    states = learner.state(), twin.state()
    assert states[0].keys() == states[1].keys()
    assert all(np.array_equal(array, states[1][name]) for name, array in states[0].items())


@pytest.mark.parametrize("method", ["replay", "joint"])
def test_what_replays_forgets_less_than_naive(method):
    naive = accuracy(through(Naive(NETWORK, **FAST)))
    assert naive < 0.5
    assert accuracy(through(METHODS[method]())) > naive + 0.3


@pytest.mark.parametrize("method", ["ewc, told the task", "lwf, told the task"])
def test_told_the_task_regularisation_forgets_less_than_naive(method):
    def kept(make) -> float:
        learner = make(epochs=30)
        for number in range(4):
            learner.learn(*crossed(number))
            learner.consolidate()
        answers = [learner.predict(crossed(n)[0], among=[2 * n, 2 * n + 1]).best for n in range(4)]
        return float(np.mean([np.mean(np.array(a) == crossed(n)[1]) for n, a in enumerate(answers)]))

    naive = kept(lambda epochs: Naive(NETWORK, active="experience", **{**FAST, "epochs": epochs}))
    assert kept(METHODS[method]) > naive + 0.05, f"{naive} without"


def test_joint_is_naive_training_on_everything_that_arrived():
    joint, naive = Joint(NETWORK, **FAST), Naive(NETWORK, **FAST)
    first, second = task(0), task(1)
    joint.learn(*first)
    naive.learn(*first)
    joint.learn(*second)
    naive.learn(np.concatenate([first[0], second[0]]), first[1] + second[1])
    assert np.array_equal(joint.predict(first[0]).scores, naive.predict(first[0]).scores)
    assert joint.samples_stored == 160


def test_a_step_of_replay_sees_new_examples_and_as_many_kept_ones_as_asked_for():
    seen = []

    class Watched(ExperienceReplay):
        def loss(self, inputs, targets):
            seen.append((len(targets), targets.tolist()))
            return super().loss(inputs, targets)

    learner = Watched(NETWORK, capacity=10, replayed=7, epochs=1, batch=20)
    learner.learn(*task(0))
    assert [count for count, _ in seen] == [20] * 4, "nothing to replay in the first experience"
    learner.learn(*task(1))
    assert [count for count, _ in seen[4:]] == [27] * 4
    assert all(set(targets[20:]) <= {0, 1} <= {0, 1, 2, 3} and set(targets[:20]) <= {2, 3} for _, targets in seen[4:])
    assert len(learner.memory) == learner.samples_stored == 10


def test_what_was_interrupted_is_not_remembered():
    class Stopped(ExperienceReplay):
        stop = False

        def project(self, inputs, targets):
            if self.stop:
                raise KeyboardInterrupt

    learner = Stopped(NETWORK, capacity=10, **FAST)
    learner.learn(*task(0))
    before = learner.memory.state()
    learner.stop = True
    with pytest.raises(KeyboardInterrupt):
        learner.learn(*task(1))
    assert all(np.array_equal(array, before[name]) for name, array in learner.memory.state().items())
    assert set(learner.labels) == {0, 1}


def exact_fisher(learner, inputs, targets):
    """Kirkpatrick's definition by enumeration: for each example and label, the squared slope of its log-probability."""
    totals = {name: torch.zeros_like(p) for name, p in learner.model.named_parameters()}
    for one, target in zip(inputs, targets, strict=True):
        logs = learner.competing(learner.model(one[None]), target[None]).log_softmax(dim=1)[0]
        for log in logs[torch.isfinite(logs)]:
            slopes = torch.autograd.grad(log, list(learner.model.parameters()), retain_graph=True)
            for (name, _), slope in zip(learner.model.named_parameters(), slopes, strict=True):
                totals[name] += log.detach().exp() * slope.square() / len(inputs)
    return totals


@pytest.mark.parametrize("active", ["all", "experience"])
def test_the_fisher_information_is_the_one_of_the_definition_on_average(active):
    learner = ewc(active=active, epochs=2)
    for number in range(2):
        learner.learn(*task(number))
    inputs, labels = task(1, 6)
    inputs, targets = torch.from_numpy(inputs), learner.places(labels)
    exact = exact_fisher(learner, inputs, targets)
    draws = [learner.fisher(inputs, targets) for _ in range(600)]
    for name, expected in exact.items():
        values = torch.stack([draw[name] for draw in draws])
        error = values.std(dim=0) / np.sqrt(len(draws))
        assert ((values.mean(dim=0) - expected).abs() <= 5 * error + 1e-9).all(), name
        assert expected.sum() > 0


def test_the_springs_are_those_of_every_consolidation_together():
    learner, terms = ewc(strength=3.0), []
    fisher = learner.fisher
    learner.fisher = lambda *examples: terms.append(fisher(*examples)) or terms[-1]
    places = []
    for number in range(3):
        learner.learn(*task(number))
        learner.consolidate()
        places.append({name: p.detach().clone() for name, p in learner.model.named_parameters()})
    inputs, labels = task(2)
    inputs, targets = torch.from_numpy(inputs), learner.places(labels)

    def springs() -> float:
        with torch.no_grad():
            assert learner.loss(inputs, targets) == functional.cross_entropy(learner.model(inputs), targets)
            return float(learner.penalty())

    def expected() -> float:
        return sum(1.5 * float((f[n] * (p.detach()[: len(f[n])] - at[n]).square()).sum())
                   for f, at in zip(terms, places, strict=True) for n, p in learner.model.named_parameters())

    first = springs(), expected()
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    second = springs(), expected()
    assert second[0] - first[0] == pytest.approx(second[1] - first[1], rel=1e-4)
    assert second[1] - first[1] > 0.01


def test_online_springs_hold_the_last_place_and_fade():
    learner = through(ewc(decay=0.5), 1)
    first = {name: tensor.clone() for name, tensor in learner.importance.items()}
    fisher = learner.fisher
    added = []
    learner.fisher = lambda *examples: added.append(fisher(*examples)) or added[-1]
    learner.learn(*task(1))
    learner.consolidate()
    name = "network.1.weight"
    assert torch.allclose(learner.importance[name], 0.5 * first[name] + added[0][name])
    assert torch.equal(learner.centre[name], dict(learner.model.named_parameters())[name])


def test_springs_without_new_examples_stay():
    learner = through(ewc(), 2)
    before = {name: tensor.clone() for name, tensor in learner.importance.items()}
    assert learner.consolidate().details == {"measured on": 0}
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.importance.items())


@pytest.mark.parametrize(("active", "groups"), [("all", [[0, 1, 2, 3]]), ("experience", [[0, 1], [2, 3]])])
def test_lwf_adds_the_distance_to_its_former_answers(active, groups):
    learner = through(LearningWithoutForgetting(NETWORK, temperature=3.0, active=active, **FAST), 2)
    inputs, labels = task(2)
    inputs = torch.from_numpy(inputs)
    former = torch.from_numpy(learner.predict(inputs.numpy()).scores).float()
    learner.learn(*task(2))
    targets = learner.places(labels)
    logits = learner.model(inputs).detach()
    columns = [4, 5] if active == "experience" else list(range(6))
    new = -logits[:, columns].log_softmax(1)[torch.arange(80), targets - columns[0]].mean()
    old = np.mean([float(-((former[:, g] / 3).softmax(1) * (logits[:, g] / 3).log_softmax(1)).sum(1).mean())
                   for g in groups])
    expected = float(new) / 3 + 2 / 3 * 9 * old
    assert learner.loss(inputs, targets).item() == pytest.approx(expected, rel=1e-4)


def test_lwf_is_taught_by_the_answers_that_it_gave_though_it_trains_with_dropout():
    network = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.ReLU(), torch.nn.Dropout(0.5))
    learner = through(LearningWithoutForgetting(network, shape=(6,), weight=1e-9, **FAST), 1)
    inputs, labels = task(0)
    former = torch.from_numpy(learner.predict(inputs).scores).float()
    with evaluating(learner.model):
        loss = learner.loss(torch.from_numpy(inputs), learner.places(labels))
    assert loss.item() == pytest.approx(agreement(former, former, 2.0).item(), rel=1e-5)


@pytest.mark.parametrize("method", ["ewc", "lwf"])
def test_an_evaluation_tells_ewc_and_lwf_where_an_experience_ends(method):
    inputs, labels = task(0, 20)
    others, theirs = task(1, 20)
    data = from_arrays(np.concatenate([inputs, others]), np.array(labels + theirs), name="two tasks")
    learner = evaluate(METHODS[method](), class_incremental(data, groups=((0, 1), (2, 3)))).trained
    assert learner.consolidate().details == {"ewc": {"measured on": 0}, "lwf": {"experiences": 3}}[method]


def test_before_any_boundary_lwf_and_ewc_are_naive():
    inputs, _ = task(0)
    naive = Naive(NETWORK, **FAST)
    naive.learn(*task(0))
    for learner in (ewc(), LearningWithoutForgetting(NETWORK, **FAST)):
        learner.consolidate()  # nothing was learned: no boundary
        learner.learn(*task(0))
        assert np.array_equal(learner.predict(inputs).scores, naive.predict(inputs).scores)


@pytest.mark.parametrize("made", [
    lambda: ExperienceReplay(NETWORK, capacity=0), lambda: ExperienceReplay(NETWORK, replayed=0),
    lambda: ExperienceReplay(NETWORK, keep="all"), lambda: ewc(strength=-1.0), lambda: ewc(decay=2.0),
    lambda: LearningWithoutForgetting(NETWORK, temperature=0.0), lambda: LearningWithoutForgetting(NETWORK, weight=0.0),
])
def test_settings_that_cannot_be_are_refused(made):
    with pytest.raises(InputError):
        made()
