"""Growing and pruning, its rivals and dynamic sparse training: they keep the laws, and each does what it is for."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engram.checks import learner_checks  # noqa: E402
from engram.learner import DamagedError, InputError  # noqa: E402
from engram.networks.strategies.dynamic_sparse_training import DynamicSparseTraining  # noqa: E402
from engram.networks.strategies.grow_and_prune import GrowAndPrune  # noqa: E402
from engram.networks.strategies.nest import NeST  # noqa: E402
from engram.networks.strategies.network_fine_tuning import NetworkFineTuning  # noqa: E402
from engram.networks.strategies.structural import Structural  # noqa: E402
from engram.networks.strategies.train_from_scratch import TrainFromScratch  # noqa: E402
from engram.networks.strategies.update_recipe import PATENT, UpdateRecipe  # noqa: E402
from engram.networks.structure.pruning import isolated  # noqa: E402

pytestmark = pytest.mark.long

NETWORK = {"name": "perceptron", "inputs": [8], "hidden": [12]}
FAST = UpdateRecipe(constant_budget=1280, new_epochs=1, all_epochs=5, prune_epochs=2, learning_rate=0.03,
                    prune_rate=0.02, alpha=30, averaging=0.5)
SETTINGS: dict[str, Any] = {"parameters": 120, "recipe": FAST, "batch": 16}
METHODS: dict[str, partial[Structural]] = {
    "grow and prune": partial(GrowAndPrune, NETWORK, **SETTINGS),
    "from scratch": partial(TrainFromScratch, NETWORK, **SETTINGS),
    "fine-tuning": partial(NetworkFineTuning, NETWORK, **SETTINGS),
    "NeST": partial(NeST, NETWORK, **SETTINGS),
    "RigL": partial(DynamicSparseTraining, NETWORK, **SETTINGS),
    "SET": partial(DynamicSparseTraining, NETWORK, wake="random", **SETTINGS),
}


QUICK = UpdateRecipe(constant_budget=1600, new_epochs=1, all_epochs=20, prune_epochs=4, learning_rate=0.05,
                     prune_rate=0.02, alpha=30, averaging=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("check", learner_checks(stream=32), ids=str)
def test_a_method_keeps(check, method):
    made = METHODS[method]
    settings: dict[str, Any] = {**made.keywords, "parameters": 400, "recipe": QUICK, "batch": 64}
    if method == "NeST":
        settings["seed_density"] = 0.8
    check(partial(made.func, {**NETWORK, "hidden": [24]}, **settings))


def portion(number: int, count: int = 60, classes: int = 3) -> tuple[np.ndarray, list[int]]:
    """Gaussian classes at axes of their own; another number, other examples."""
    rng = np.random.default_rng(number)
    labels = rng.integers(0, classes, count)
    return (2 * np.eye(8)[labels] + 0.5 * rng.normal(size=(count, 8))).astype(np.float32), labels.tolist()


def accuracy(learner: Structural, classes: int = 3) -> float:
    inputs, labels = portion(99, 200, classes)
    return float(np.mean(np.array(learner.predict(inputs).best) == labels))


def agree(one: Structural, two: Structural) -> bool:
    first, second = one.state(), two.state()
    return first.keys() == second.keys() and all(np.array_equal(array, second[name]) for name, array in first.items())


@pytest.mark.parametrize("method", METHODS)
def test_after_every_update_it_rests_small_connected_and_right(method):
    learner = METHODS[method](parameters=90)
    for number in range(3):
        learner.learn(*portion(number))
        assert learner.masks.live <= 90
        assert learner.report["live"] == learner.masks.live
        if method not in ("RigL", "SET"):  # these let neurons die
            assert isolated(learner.masks) == (0, 0)
    assert accuracy(learner) > 0.85
    assert learner.multiply_adds <= 90
    assert all(not learner.masks.weight(name)[mask == 0].any() for name, mask in learner.masks.items())


@pytest.mark.parametrize("method", METHODS)
def test_labels_that_are_new_get_outputs_that_are_learned(method):
    learner = METHODS[method]()
    learner.learn(*portion(0))
    learner.learn(*portion(1, 100, 5))
    assert set(learner.labels) == {0, 1, 2, 3, 4}
    assert learner.masks["outputs.weight"].shape == (5, 12)
    assert learner.masks.live <= 120
    assert accuracy(learner, 5) > 0.85


@pytest.mark.parametrize("method", METHODS)
def test_the_report_tells_what_was_done(method):
    learner = METHODS[method](held_out=0.25)
    learner.learn(*portion(0))
    before = learner.masks.live
    learner.learn(*portion(1))
    report = learner.report
    assert report["before"] == before
    assert report["live"] == learner.masks.live
    assert (len(learner.kept), len(learner.validation)) == (90, 30)
    inputs, targets = learner.validation.inputs, learner.validation.targets
    answers = learner.predict(inputs.numpy()).best
    judged = 100 * np.mean(np.array(answers) == np.array(learner.labels)[targets])
    assert report["accuracy"] == pytest.approx(judged)
    if "grown" in report:
        assert report["grown"] >= report["live"]
        assert report["recoverable"] == (report["isolated"] == 0 and report["accuracy"] >= report["grown-accuracy"])
    assert report["isolated"] == sum(isolated(learner.masks))


def test_examples_shown_are_counted():
    seen = []

    class Counting(GrowAndPrune):
        def training_step(self, inputs: Any, targets: Any) -> Any:
            seen.append(len(inputs))
            super().training_step(inputs, targets)

    learner = Counting(NETWORK, **SETTINGS)
    learner.learn(*portion(0))
    assert learner.report["shown"] == sum(seen) + 55  # and one pass for the gradients of a growth
    assert sum(seen) == pytest.approx(8 * 160, rel=0.1)  # the budget of each update, however little arrives
    seen.clear()
    learner.learn(*portion(1))
    assert sum(seen) == pytest.approx(8 * 160, rel=0.1)


def test_growing_and_pruning_grows_where_the_new_data_ask_for_it():
    learner = METHODS["grow and prune"](parameters=60)
    learner.learn(*portion(0))
    rested = {name: mask.clone() for name, mask in learner.masks.items()}
    grown, order = [], []

    def grow_connections(data: Any, own: Callable[[Any], int] = learner.grow_connections) -> int:
        order.append(len(data))
        found = own(data)
        grown.append({name: mask.clone() for name, mask in learner.masks.items()})
        return found

    fit = learner.fit
    learner.grow_connections = grow_connections
    learner.fit = lambda data, *rest: (order.append(len(data)), fit(data, *rest))[1]
    learner.learn(*portion(1, 36))
    assert order == [33, 33, 88, 88]  # grown and trained on what is new, then trained and pruned on everything
    for name, mask in rested.items():
        assert (grown[0][name] >= mask).all()  # nothing alive is lost by growing
    assert learner.report["grown"] > 60 >= learner.masks.live


def test_what_starts_anew_forgets_the_weights_and_fine_tuning_does_not():
    def first_weights(method: str) -> float:
        learner = METHODS[method](recipe=replace(FAST, new_epochs=0, all_epochs=0, prune_epochs=0), parameters=10_000)
        learner.learn(*portion(0))
        before = learner.masks.weight("network.1.weight").detach().clone()
        learner.learn(*portion(1))
        return (learner.masks.weight("network.1.weight") - before).abs().max().item()

    assert first_weights("fine-tuning") == 0
    assert first_weights("from scratch") > 0.1
    assert first_weights("NeST") > 0.1


def test_nest_starts_from_a_sparse_seed():
    learner = METHODS["NeST"](seed_density=0.2, recipe=replace(FAST, growths=2))
    alive = []
    grow = learner.grow_connections
    learner.grow_connections = lambda data: (alive.append(learner.masks.live), grow(data))[1]
    learner.learn(*portion(0))
    assert alive[0] <= 50 < 0.5 * learner.masks.total
    assert alive[1] > alive[0]


@pytest.mark.parametrize("method", ["RigL", "SET"])
def test_dynamic_sparse_training_moves_its_connections_and_keeps_their_number(method):
    learner = METHODS[method](recipe=replace(FAST, all_epochs=30, constant_budget=10_560), exchanged=0.5)
    learner.learn(*portion(0))
    first = {name: mask.clone() for name, mask in learner.masks.items()}
    learner.learn(*portion(1))
    for name, mask in learner.masks.items():
        assert mask.sum() == first[name].sum()
    assert any(not torch.equal(mask, first[name]) for name, mask in learner.masks.items())
    assert "grown" not in learner.report
    again = METHODS[method](recipe=replace(FAST, new_epochs=0, all_epochs=0, prune_epochs=0), anew=True)
    again.learn(*portion(0))
    first = {name: mask.clone() for name, mask in again.masks.items()}
    again.learn(*portion(1))
    assert any(not torch.equal(mask, first[name]) for name, mask in again.masks.items())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("times", [1, 4])
def test_progress_of_an_update_only_grows_and_comes_to_its_end(method, times):
    learner, told = METHODS[method](recipe=FAST.longer(times)), []
    learner.progress = lambda share, what: told.append(share)
    for number in range(2):
        learner.learn(*portion(number))
        assert told == sorted(told)
        assert told[0] == 0
        assert learner._done == pytest.approx(learner.recipe.epochs)
        told.clear()
    learner.compress(30)
    assert told[0] == 0
    assert told == sorted(told)
    if times > 1:
        assert told[-1] > 0.8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("when", ["early", "late"])
def test_interrupted_everything_is_as_before(method, when):
    learner, twin = METHODS[method](), METHODS[method]()
    for one in (learner, twin):
        one.learn(*portion(0))
    calls = []

    def progress(share: float, what: str) -> None:
        calls.append(share)
        if when == "early" or len(calls) == (1 if method in ("RigL", "SET") else 2):
            raise KeyboardInterrupt

    learner.progress = progress
    with pytest.raises(KeyboardInterrupt):
        learner.learn(*portion(1, 80, 5))
    assert calls
    for one in (learner, twin):
        one.generator.manual_seed(1)  # the draws that were made are made
        one.progress = lambda share, what: None
    assert agree(learner, twin)
    assert learner.report == twin.report
    assert learner._teacher is None
    for one in (learner, twin):
        one.learn(*portion(1, 80, 5))
    assert agree(learner, twin)


@pytest.mark.parametrize("method", METHODS)
def test_loaded_it_goes_on_alike(method):
    learner = METHODS[method](recipe=replace(FAST, distillation=0.5, regrowth=0.2))
    learner.learn(*portion(0))
    twin = type(learner).from_state(learner.state())
    assert twin.recipe == learner.recipe
    assert agree(learner, twin)
    for one in (learner, twin):
        one.learn(*portion(1, 60, 4))
    assert agree(learner, twin)


def test_what_is_saved_of_the_network_shrinks_with_it():
    def weight(parameters: int) -> int:
        learner = GrowAndPrune({**NETWORK, "hidden": [200]}, **{**SETTINGS, "parameters": parameters})
        learner.learn(*portion(0))
        return sum(array.nbytes for name, array in learner.state().items() if name.split("/")[0] in
                   ("network", "optimiser"))

    large, small = weight(10**6), weight(700)
    assert large == 4 * 2403 + (200 + 75) + 4 * 8  # all values; a bit for each connection; two shapes
    assert small <= 4 * 700 + 4 * 203 + 275 + 32


def test_regrowth_leaves_no_neuron_cut_off():
    learner = METHODS["grow and prune"](recipe=replace(FAST, regrowth=0.9, constant_budget=16_000), parameters=45)
    learner.learn(*portion(0))
    assert isolated(learner.masks) == (0, 0)
    assert learner.masks.live <= 45


def test_not_recoverable_it_may_be_smaller_than_its_neurons():
    learner = METHODS["grow and prune"](recipe=replace(FAST, recoverable=False), parameters=20)
    learner.learn(*portion(0))
    assert learner.masks.live <= 20
    assert not learner.report["recoverable"]
    assert learner.report["isolated"] == sum(isolated(learner.masks)) > 0


@pytest.mark.parametrize("method", ["grow and prune", "fine-tuning"])
def test_as_published_it_prunes_only_while_the_accuracy_is_met(method):
    recipe = replace(PATENT, new_epochs=3, all_epochs=10, prune_epochs=30, growths=1, beta=5, learning_rate=0.01,
                     prune_rate=0.01)
    learner = METHODS[method](recipe=recipe, parameters=1, held_out=0.3, batch=4)
    learner.learn(*portion(0, 100))
    report = learner.report
    assert report["live"] < report["grown"] - 10
    assert report["accuracy"] >= report["grown-accuracy"]
    assert report["recoverable"]


def test_where_pruning_costs_accuracy_the_published_recipe_takes_it_back():
    learner = METHODS["grow and prune"](recipe=replace(PATENT, new_epochs=3, all_epochs=30, growths=1, beta=100,
                                                       learning_rate=0.02, prune_rate=1e-9), parameters=1,
                                        held_out=0.5)
    learner.learn(*portion(0, 200, 8))
    assert learner.report["live"] == learner.report["grown"]
    assert learner.report["accuracy"] == learner.report["grown-accuracy"]


def test_the_default_settings_of_the_patent_run():
    learner = METHODS["grow and prune"](recipe=PATENT, parameters=100)
    learner.learn(*portion(0, 30))
    assert learner.report["live"] <= learner.report["grown"]
    assert GrowAndPrune.from_state(learner.state()).recipe == PATENT


@pytest.mark.parametrize("bad", [
    {"alpha": -1}, {"alpha": 101}, {"beta": 200}, {"prune_share": 1.5}, {"regrowth": -0.1}, {"distillation": 2},
    {"averaging": -1}, {"pruning": "random"}, {"scores": "none"}, {"learning_rate": 0}, {"prune_rate": -1},
    {"growths": 0}, {"temperature": 0}, {"new_epochs": -1}, {"all_epochs": float("inf")}, {"prune_epochs": -2},
    {"constant_budget": -1}, {"eta": float("nan")}, {"learning_rate": float("nan")}, {"tolerance": -1},
])
def test_a_recipe_that_cannot_be_is_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        UpdateRecipe(**bad)


def test_a_recipe_by_name_or_with_unknown_fields_is_refused_and_told_the_right_one():
    with pytest.raises(InputError, match=r"PATENT of engram.networks.strategies.update_recipe"):
        METHODS["grow and prune"](recipe="patent")
    with pytest.raises(InputError, match=r"no field 'alfa'. The nearest is 'alpha'"):
        METHODS["grow and prune"](recipe={"alfa": 5})


def test_what_stands_against_a_compression_is_said():
    learner = METHODS["grow and prune"]()
    with pytest.raises(InputError, match="nothing to compress"):
        learner.compress(10)
    learner.learn(*portion(0))
    with pytest.raises(InputError, match=r"^parameters must be at least 1, not 0.$"):
        learner.compress(0)


@pytest.mark.parametrize(("settings", "says"), [
    ({"epochs": 0}, "^epochs.*not 0"), ({"batch": 2.5}, "^batch.*not 2.5"), ({"active": "some"}, "^active"),
    ({"parameters": 0}, "^parameters"), ({"held_out": 1.0}, "^held_out"),
    ({"augmentation": "elastic"}, "^augmentation"),
])
def test_only_the_setting_that_cannot_be_is_named(settings, says):
    with pytest.raises(InputError, match=says):
        METHODS["grow and prune"](**settings)


@pytest.mark.parametrize("made", [
    lambda: METHODS["grow and prune"](parameters=0), lambda: METHODS["grow and prune"](held_out=1.0),
    lambda: METHODS["grow and prune"](augmentation="elastic"), lambda: METHODS["NeST"](seed_density=0),
    lambda: METHODS["RigL"](wake="all"), lambda: METHODS["SET"](exchanged=2.0),
])
def test_settings_that_cannot_be_are_refused(made):
    with pytest.raises(InputError):
        made()


def test_a_damaged_network_is_refused():
    learner = METHODS["grow and prune"]()
    learner.learn(*portion(0))
    state = learner.state()
    for name in ("network/network.1.weight.values", "network/network.1.weight.alive", "network/outputs.weight.shape"):
        with pytest.raises(DamagedError):
            GrowAndPrune.from_state(state | {name: state[name][:-1]})
        with pytest.raises(DamagedError):
            GrowAndPrune.from_state({other: array for other, array in state.items() if other != name})
