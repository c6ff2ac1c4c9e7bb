# ruff: noqa: E402
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file

from engram.features.pretraining.loop import Schedule, train
from engram.learner import InputError

SCHEDULE = Schedule(steps=60, learning_rate=0.05, averaging=0.9, bfloat16=False, checkpoint_every=20)


class Line(torch.nn.Module):
    """Find y = 3x − 1."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x, y):
        return (self.layer(x) - y).square().mean()


def draw(generator):
    x = torch.rand(16, 1, generator=generator)
    return x, 3 * x - 1


def weights(line):
    return [parameter.detach().clone() for parameter in line.parameters()]


def test_training_finds_the_minimum_and_says_how_it_goes():
    line, told = Line(), []
    train(line, draw, Schedule(steps=600, learning_rate=0.05, averaging=0.9, bfloat16=False),
          progress=lambda *step: told.append(step))
    assert line.layer.weight.item() == pytest.approx(3, abs=0.05)
    assert line.layer.bias.item() == pytest.approx(-1, abs=0.05)
    assert [done for done, _, _ in told] == list(range(50, 601, 50))
    assert told[-1][2] < told[0][2]
    assert not line.training


def test_the_same_seed_trains_the_same_weights():
    first, second, other = Line(), Line(), Line()
    train(first, draw, SCHEDULE, seed=1)
    train(second, draw, SCHEDULE, seed=1)
    train(other, draw, SCHEDULE, seed=2)
    assert all(map(torch.equal, weights(first), weights(second)))
    assert not all(map(torch.equal, weights(first), weights(other)))


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path):
    whole = Line()
    train(whole, draw, SCHEDULE)
    checkpoint = tmp_path / "line.checkpoint"

    def stop(done, steps, loss):
        if done == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Line(), draw, SCHEDULE, progress=stop, checkpoint=checkpoint)
    assert checkpoint.exists()
    resumed, told = Line(), []
    train(resumed, draw, SCHEDULE, progress=lambda *step: told.append(step[0]), checkpoint=checkpoint)
    assert told == [50, 60]
    assert all(map(torch.equal, weights(whole), weights(resumed)))
    assert not checkpoint.exists()


def test_weights_are_averaged_over_the_last_steps():
    class Jump(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.value = torch.nn.Parameter(torch.zeros(1))

        def forward(self, slope):
            return (self.value * slope).sum()

    def alternate(generator):
        return (torch.randn(1, generator=generator),)

    averaged, last = Jump(), Jump()
    schedule = {"steps": 200, "weight_decay": 0.0, "bfloat16": False}
    train(averaged, alternate, Schedule(**schedule, averaging=0.99))
    train(last, alternate, Schedule(**schedule, averaging=0.0))
    assert averaged.value.item() != last.value.item()


def test_ctrl_c_finishes_the_step_and_keeps_it(tmp_path):
    checkpoint, drawn = tmp_path / "line.checkpoint", []

    def stopping(generator):
        drawn.append(1)
        if len(drawn) == 33:
            signal.raise_signal(signal.SIGINT)
        return draw(generator)

    whole, stopped = Line(), Line()
    train(whole, draw, SCHEDULE)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, stopping, SCHEDULE, checkpoint=checkpoint)
    assert int(load_file(checkpoint)["step"]) == 33
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(again := Line(), draw, SCHEDULE, checkpoint=checkpoint)
    assert all(map(torch.equal, weights(whole), weights(again)))


def test_a_second_ctrl_c_does_not_wait():
    def impatient(generator):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second one was ignored")

    with pytest.raises(KeyboardInterrupt):
        train(Line(), impatient, SCHEDULE)


def test_in_another_thread_training_leaves_signals_alone():
    with ThreadPoolExecutor(1) as pool:
        line = Line()
        assert pool.submit(train, line, draw, SCHEDULE).result() >= 0


def test_what_changes_on_the_way_is_told_each_step_and_goes_on_after_an_interruption(tmp_path):
    checkpoint, told = tmp_path / "line.checkpoint", []

    def before(step):
        told.append(step)
        if len(told) == 45:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Line(), draw, SCHEDULE, before_step=before, checkpoint=checkpoint)
    train(Line(), draw, SCHEDULE, before_step=before, checkpoint=checkpoint)
    assert told[:45] == list(range(45))
    assert told[45] in (40, 44)
    assert told[45:] == list(range(told[45], SCHEDULE.steps))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_training_runs_where_its_objective_is_and_moves_between_devices(tmp_path):
    checkpoint = tmp_path / "line.checkpoint"

    def stop(done, steps, loss):
        if done == 50:
            raise KeyboardInterrupt

    line = Line().to("cuda")
    with pytest.raises(KeyboardInterrupt):
        train(line, draw, SCHEDULE, progress=stop, checkpoint=checkpoint)
    train(again := Line(), draw, SCHEDULE, checkpoint=checkpoint)
    train(whole := Line(), draw, SCHEDULE)
    assert weights(line)[0].is_cuda
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(weights(whole), weights(again), strict=True))


def test_a_training_that_diverges_is_stopped_and_its_last_checkpoint_kept(tmp_path):
    checkpoint, drawn = tmp_path / "line.checkpoint", []

    def spoilt(generator):
        drawn.append(1)
        x, y = draw(generator)
        return x, y * float("inf") if len(drawn) == 27 else y

    with pytest.raises(InputError, match="at step 27: take a lower learning rate"):
        train(Line(), spoilt, SCHEDULE, checkpoint=checkpoint)
    assert int(load_file(checkpoint)["step"]) == 20


def test_the_process_counts_as_before_after_a_training() -> None:
    smallest = torch.tensor(1e-310, dtype=torch.float64)
    weight = torch.nn.Linear(1, 1)

    class Objective(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return self.weight(batch).square().mean()

    train(Objective(), lambda generator: (torch.rand(4, 1, generator=generator),), Schedule(2, bfloat16=False))
    assert float(smallest * 1.0) > 0
