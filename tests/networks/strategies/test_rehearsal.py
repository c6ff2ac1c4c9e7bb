"""iCaRL, latent replay, AR1, REMIND and the rules of keeping against independent computations of what their papers say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from engram.learner import InputError  # noqa: E402
from engram.networks.memory.past import Drawn  # noqa: E402
from engram.networks.strategies.ar1 import AR1  # noqa: E402
from engram.networks.strategies.experience_replay import ExperienceReplay  # noqa: E402
from engram.networks.strategies.icarl import ICaRL  # noqa: E402
from engram.networks.strategies.latent_replay import LatentReplay  # noqa: E402
from engram.networks.strategies.remind import REMIND  # noqa: E402
from engram.networks.structure.evaluation_mode import evaluating  # noqa: E402

NETWORK = {"name": "perceptron", "inputs": [4], "hidden": [6, 5]}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 4)).astype(np.float32)
Y = RNG.normal(size=(20, 4)).astype(np.float32)
FIRST, SECOND = [0, 1] * 10, [2, 3] * 10
FAST = {"batch": 5, "epochs": 3, "learning_rate": 0.01}


def features(learner: Any, inputs: np.ndarray) -> np.ndarray:
    with evaluating(learner.network), torch.no_grad():
        found: np.ndarray = learner.network(torch.from_numpy(inputs)).double().numpy()
    return found


def directions(learner: Any, inputs: np.ndarray) -> np.ndarray:
    rows = features(learner, inputs)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_icarl_is_trained_by_the_truth_about_new_labels_and_by_its_former_answers_about_old_ones() -> None:
    losses: list[tuple[float, float]] = []

    class Watched(ICaRL):
        before: Any = None

        def loss(self, inputs: Any, targets: Any) -> Any:
            found = super().loss(inputs, targets)
            logits = self.model.outputs.logits(self.network(inputs)).detach().double().numpy()
            wanted = np.eye(len(self.labels))[targets.numpy()]
            if self.before is not None:
                wanted[:, :2] = 1 / (1 + np.exp(-self.before(inputs)))
            chances = 1 / (1 + np.exp(-logits))
            each = -(wanted * np.log(chances) + (1 - wanted) * np.log(1 - chances))
            losses.append((found.item(), each.sum() / len(inputs)))
            return found

    learner = Watched(NETWORK, capacity=8, **FAST)
    learner.learn(X, FIRST)
    former = ICaRL.from_state({**learner.state(), "about": _as(learner.state(), "ICaRL")})
    learner.before = lambda inputs: former.model.outputs.logits(former.network(inputs)).detach().double().numpy()
    learner.learn(Y, SECOND)
    assert len(losses) == 3 * 4 + 3 * 6, "20 new examples, and 8 kept ones beside the second 20"
    assert np.allclose(*zip(*losses, strict=True), rtol=1e-4)


def _as(state: dict[str, Any], name: str) -> Any:
    import json

    about = json.loads(state["about"].tobytes())
    return np.frombuffer(json.dumps(about | {"strategy": name}).encode(), np.uint8)


def test_icarl_answers_by_the_nearest_mean_of_the_exemplars_that_herding_chose() -> None:
    learner = ICaRL(NETWORK, capacity=8, **FAST)
    learner.learn(X, FIRST)
    for label in (0, 1):
        rows = directions(learner, X[label::2])
        chosen: list[int] = []
        for step in range(1, 5):
            sums = rows[chosen].sum(axis=0)
            away = [np.inf if i in chosen else np.linalg.norm(rows.mean(axis=0) - (rows[i] + sums) / step)
                    for i in range(10)]
            chosen.append(int(np.argmin(away)))
        kept = learner.memory.kept()[0][learner.memory.targets == label]
        assert np.array_equal(kept, X[label::2][chosen])
    learner.learn(Y, SECOND)
    assert np.bincount(learner.memory.targets).tolist() == [2, 2, 2, 2]
    inputs, targets = learner.memory.kept()[:2]
    means = np.stack([directions(learner, inputs[targets == label]).mean(axis=0) for label in range(4)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    away = np.square(directions(learner, Y)[:, None] - means).sum(axis=2)
    answers = learner.predict(Y)
    assert np.allclose(answers.scores, -away, atol=1e-5)
    assert answers.best == [learner.labels[i] for i in away.argmin(axis=1)]


@pytest.mark.parametrize("keep", ["random", "herding", "informative"])
def test_replay_keeps_the_same_number_of_each_label_by_a_rule_also_of_labels_that_come_again(keep: Any) -> None:
    learner = ExperienceReplay(NETWORK, capacity=9, keep=keep, **FAST)
    learner.learn(X, FIRST)
    learner.learn(Y, [0, 2] * 10)
    assert np.bincount(learner.memory.targets).tolist() == [3, 3, 3]
    kept, targets = learner.memory.kept()[:2]
    assert all((np.abs(kept[i] - (X if targets[i] == 1 else np.concatenate([X, Y]))).sum(axis=1) == 0).any()
               for i in range(9))
    if keep == "informative":
        scores = learner.predict(Y[1::2]).scores
        shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        doubt = -(shares * np.log(shares)).sum(axis=1)
        assert np.array_equal(kept[targets == 2], Y[1::2][np.argsort(-doubt)[:3]])


def test_what_counts_more_in_a_source_is_replayed_more_often() -> None:
    class Unequal:
        labels, nbytes = (0, 1), 0

        def draw(self, count: int, rng: np.random.Generator, labels: Any = None) -> Drawn:
            rows = rng.integers(2, size=count)
            return Drawn(np.eye(4, dtype=np.float32)[rows], rows, np.array([1.0, 3.0], np.float32)[rows])

    learner: Any = ExperienceReplay(NETWORK, replayed=4000)
    learner.memory = Unequal()
    targets = learner.drawn(1)[1]
    assert 0.72 < targets.double().mean() < 0.78


def stack() -> Any:
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.ReLU(), torch.nn.Linear(6, 5),
                               torch.nn.ReLU())


@pytest.mark.parametrize("pretrained", [False, True])
def test_the_lower_part_is_frozen_from_the_first_experience_or_from_the_beginning(pretrained: bool) -> None:
    own = stack()
    learner = LatentReplay(own, shape=(4,), frozen=3, pretrained=pretrained, capacity=10, **FAST)
    learner.learn(X, FIRST)
    first = [tensor.clone() for tensor in learner.network[:3].state_dict().values()]
    same = all(torch.equal(a, b) for a, b in zip(first, own[:3].state_dict().values(), strict=True))
    assert same == pretrained
    top = learner.network[3].weight.clone()
    twin = LatentReplay.from_state(learner.state(), network=stack())
    for one in (learner, twin):
        one.learn(Y, SECOND)
    assert all(torch.equal(a, b) for a, b in zip(first, learner.network[:3].state_dict().values(), strict=True))
    assert not torch.equal(top, learner.network[3].weight)
    assert np.array_equal(learner.predict(X).scores, twin.predict(X).scores)


def test_what_is_kept_are_latents_and_replaying_them_is_replaying_the_inputs_through_the_frozen_part() -> None:
    seen = []

    class Watched(LatentReplay):
        def loss(self, inputs: Any, targets: Any) -> Any:
            found = super().loss(inputs, targets)
            if self.settled:
                whole = [self.latents(torch.from_numpy(one)) for one in (X, Y)]
                rows = torch.cdist(inputs, torch.cat(whole)).argmin(dim=1)
                originals = torch.from_numpy(np.concatenate([X, Y]))[rows]
                seen.append((found.item(), functional.cross_entropy(self.model(originals), targets).item()))
            return found

    learner = Watched(NETWORK, frozen=3, capacity=10, **FAST)
    learner.learn(X, FIRST)
    learner.learn(Y, SECOND)
    assert learner.memory.columns[0].shape == (10, 6)
    assert len(seen) == 12
    assert np.allclose(*zip(*seen, strict=True), atol=1e-5)


def test_a_network_that_is_no_stack_of_layers_cannot_be_cut() -> None:
    class Own(torch.nn.Module):
        def forward(self, inputs: Any) -> Any:
            return inputs

    for make in (lambda: LatentReplay(Own(), shape=(4,)), lambda: LatentReplay(NETWORK, frozen=9),
                 lambda: REMIND(NETWORK, mixup=-1.0), lambda: ICaRL(NETWORK, keep="reservoir")):
        with pytest.raises(InputError):
            make()


def test_ar1_averages_the_output_weights_of_each_label_and_leaves_those_of_others() -> None:
    inside = []

    class Watched(AR1):
        def remember(self, inputs: Any, targets: Any) -> None:
            inside.append(self._rows().numpy())  # trained, not yet averaged
            super().remember(inputs, targets)

    learner = Watched(NETWORK, rehearse=False, **FAST)
    learner.learn(X, FIRST)
    first = learner._rows().numpy()
    assert np.allclose(first, inside[0] - inside[0].mean(), atol=1e-6)
    learner.learn(Y[:9], [1, 2, 1] * 3)
    second = learner._rows().numpy()
    now = inside[1] - inside[1][[1, 2]].mean()
    assert np.array_equal(second[0], first[0])
    past = np.sqrt(10 / 6)
    assert np.allclose(second[1], (past * first[1] + now[1]) / (past + 1), atol=1e-6)
    assert np.allclose(second[2], now[2], atol=1e-6)
    assert learner.taught.tolist() == [10, 16, 3]
    assert learner.samples_stored == 0
    assert not any(name.startswith("outputs") for name in learner.path)


def test_remind_keeps_codes_and_learns_from_nothing_but_what_they_stand_for() -> None:
    seen: list[Any] = []

    class Watched(REMIND):
        def loss(self, inputs: Any, targets: Any) -> Any:
            if self.settled:
                seen.append((inputs.numpy(), self.memory.codec))
            return super().loss(inputs, targets)

    for refit in (False, True):
        learner = Watched(NETWORK, capacity=30, codec={"name": "product", "pieces": 3, "centroids": 8}, refit=refit,
                          **FAST)
        learner.learn(X, FIRST)
        fitted = learner.memory.codec.state()["codebooks"]
        learner.learn(Y, SECOND)
        codebooks = learner.memory.codec.state()["codebooks"]
        assert np.array_equal(fitted, codebooks) != refit
        assert learner.memory.columns[0].nbytes == 30 * 3
        for inputs, codec in seen:
            assert np.allclose(codec.decode(codec.encode(inputs)), inputs, atol=1e-6)
        seen.clear()


def test_mixed_up_latents_have_mixed_losses() -> None:
    learner = REMIND(NETWORK, capacity=30, codec={"name": "product", "pieces": 3}, mixup=0.4, **FAST)
    learner.learn(X, FIRST)
    latents, targets = learner.latents(torch.from_numpy(X)), torch.tensor(FIRST)
    learner.model.train()
    learner._rng, again = np.random.default_rng(5), np.random.default_rng(5)
    found = learner.loss(latents, targets).item()
    share, order = again.beta(0.4, 0.4), again.permutation(20)
    wanted = share * np.eye(2)[FIRST] + (1 - share) * np.eye(2)[np.array(FIRST)[order]]
    with torch.no_grad():
        logits = learner.model.through(learner.body, share * latents + (1 - share) * latents[order])
    assert found == pytest.approx(-(wanted * logits.double().log_softmax(1).numpy()).sum(axis=1).mean(), rel=1e-4)
    assert 0 < share < 1
