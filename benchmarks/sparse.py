"""How fast sparse execution runs a pruned network, against ONNX Runtime and BLAS on the same network kept dense.

    python benchmarks/sparse.py [--json] [--out results/sparse.json] [--repeats 3] [--quick]

LeNet-300-100 is trained on MNIST for an epoch, cut to 21.7K weights (8, 9 and 26% of its layers, the published
distribution) or to 10K in the same proportions by magnitude, and trained for another; images are MNIST's own. The
weights of such a network crowd on the middle of the picture; the same counts drawn uniformly stand beside it
(`.../uniform`). A layer of 4096 x 4096 has 5% of its weights, drawn uniformly, and random inputs.

Every rival is called from Python with float32 arrays and gives an array back, on one thread:
  onnxruntime   the whole network, dense, as exported;
  blas          numpy's matrix products alone, without biases and activations, into arrays that are there;
  torch         the module, in inference mode;
  scipy         compressed rows (CSR), with biases and activations in numpy.
They take turns, many calls each, and the fastest turn counts. What is measured is the time that the thread has the
processor: all rivals compute in the thread that calls them, and whatever else the machine does is left out.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import argparse
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import scipy.sparse
import torch
from torch import nn

from engram.features.pretraining.onnx_network import to_onnx
from engram.lab.experiments import figures_of
from engram.lab.experiments.result import build, deliver
from engram.networks.structure.sparse_layers import Linear, bent
from engram.networks.structure.sparse_network import SparseNetwork

SIZES, SLOPE = (784, 300, 100, 10), 0.01
PUBLISHED = (0.08, 0.09, 0.26)  # of the weights of each layer, 21.8K in all
COUNTS = {"21k": 21_700, "10k": 10_000}
CALLS = 10  # in one turn
Rival = Callable[[], Any]


def network(seed: int) -> nn.Sequential:
    """LeNet-300-100 with leaky ReLU."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(SIZES):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers[:-1])


def linear(module: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in module if isinstance(layer, nn.Linear)]


def counts(module: nn.Sequential, total: int) -> list[int]:
    """So many weights in each layer that they are `total` in all, distributed as published."""
    parts = [share * layer.weight.numel() for share, layer in zip(PUBLISHED, linear(module), strict=True)]
    rounded = [round(part * total / sum(parts)) for part in parts[1:]]
    return [total - sum(rounded), *rounded]


@torch.no_grad()
def cut(module: nn.Sequential, total: int, scores: Callable[[torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
    """Keep the weights with the highest scores; the masks."""
    masks = []
    for layer, keep in zip(linear(module), counts(module, total), strict=True):
        score = scores(layer.weight).flatten()
        mask = torch.zeros_like(score)
        mask[score.topk(keep).indices] = 1
        masks.append(mask.view_as(layer.weight))
        layer.weight.mul_(masks[-1])
    return masks


def train(
    module: nn.Sequential, pixels: torch.Tensor, labels: torch.Tensor, masks: list[torch.Tensor] | None = None
) -> None:
    """One epoch, in which the weights outside the masks stay zero."""
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
    for batch in torch.randperm(len(pixels)).split(128):
        loss = nn.functional.cross_entropy(module(pixels[batch]), labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for layer, mask in zip(linear(module), masks or (), strict=bool(masks)):
                layer.weight.mul_(mask)


def dense_session(module: nn.Module, entry: int) -> Callable[[np.ndarray], Any]:
    """ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(to_onnx(module, (entry,)), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"images": x})[0]


def products(layers: list[Linear], x: np.ndarray) -> Rival:
    """The matrix products alone, one after the other."""
    if len(x) == 1:
        vectors = [x[0], *(np.empty(len(layer.weight), np.float32) for layer in layers)]

        def run_one() -> None:
            for layer, below, above in zip(layers, vectors[:-1], vectors[1:], strict=True):
                np.dot(layer.weight, below, out=above)

        return run_one
    matrices = [x, *(np.empty((len(x), len(layer.weight)), np.float32) for layer in layers)]

    def run() -> None:
        for layer, below, above in zip(layers, matrices[:-1], matrices[1:], strict=True):
            np.dot(below, layer.weight.T, out=above)

    return run


def compressed_rows(layers: list[Linear]) -> Callable[[np.ndarray], np.ndarray]:
    """SciPy's sparse matrices."""
    parts = [(scipy.sparse.csr_matrix(layer.weight), layer.bias[:, None], layer.slope) for layer in layers]

    def run(x: np.ndarray) -> np.ndarray:
        y = np.ascontiguousarray(x.T)
        for weight, bias, slope in parts:
            y = bent(weight @ y + bias, slope)
        return y.T

    return run


def fastest(rivals: dict[str, Rival], rounds: int, calls: int) -> dict[str, float]:
    """Microseconds of each rival's fastest turn, per call."""
    best = dict.fromkeys(rivals, np.inf)
    for run in rivals.values():
        run()
    for _ in range(rounds):
        for name, run in rivals.items():
            start = time.thread_time()
            for _ in range(calls):
                run()
            best[name] = min(best[name], (time.thread_time() - start) / calls)
    return {name: 1e6 * spent for name, spent in best.items()}


def compare(
    module: nn.Sequential, inputs: np.ndarray, batches: tuple[int, ...], rounds: int, case: str
) -> dict[str, float]:
    """Times of all rivals on one network, and how often our time goes into theirs."""
    entry = inputs.shape[1]
    ours = SparseNetwork.of(module, (entry,))
    session, rows = dense_session(module, entry), compressed_rows(list(ours.chain.linear))
    values: dict[str, float] = {f"live/{case}": ours.live}
    for batch in batches:
        x = np.ascontiguousarray(inputs[:batch])
        tensor = torch.from_numpy(x)
        rivals: dict[str, Rival] = {
            "engram": lambda x=x: ours(x), "onnxruntime": lambda x=x: session(x), "torch": lambda t=tensor: module(t),
            "blas": products(list(ours.chain.linear), x), "scipy": lambda x=x: rows(x),
        }
        with torch.inference_mode():
            away = np.abs(ours(x) - module(tensor).numpy()).max()
            taken = fastest(rivals, rounds if batch == 1 else max(3, rounds // 4), CALLS)
        values |= {f"us/{rival}/{case}-{batch}": spent for rival, spent in taken.items()}
        values |= {f"gain-over-{rival}/{case}-{batch}": spent / taken["engram"] for rival, spent in taken.items()}
        values[f"away/{case}-{batch}"] = float(away)
    return values


def lenet(seed: int, rounds: int, data: tuple[torch.Tensor, torch.Tensor] | None) -> dict[str, float]:
    """LeNet-300-100 at both sizes: with trained weights, where there are data, and with uniform ones."""
    values: dict[str, float] = {}
    inputs = np.random.default_rng(seed).uniform(0, 1, (128, SIZES[0])).astype(np.float32)
    whole = network(seed)
    if data is not None:
        train(whole, *data)
        inputs = data[0][torch.randperm(len(data[0]))[:128]].numpy()
    for size, total in COUNTS.items():
        uniform = network(seed)
        cut(uniform, total, torch.rand_like)
        values |= compare(uniform, inputs, (1, 128), rounds, f"{size}/uniform" if data else size)
        if data is not None:
            trained = network(seed)
            trained.load_state_dict(whole.state_dict())
            train(trained, *data, cut(trained, total, torch.abs))
            values |= compare(trained, inputs, (1, 128), rounds, size)
    return values


def wide(seed: int, side: int, rounds: int) -> dict[str, float]:
    """One layer with 5% of its weights."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(side, side))
    with torch.no_grad():
        module[0].weight.mul_(torch.rand_like(module[0].weight) < 0.05)
    inputs = np.random.default_rng(seed).normal(size=(64, side)).astype(np.float32)
    return compare(module, inputs, (1, 64), rounds, "4096")


def headlines(values: dict[str, float]) -> dict[str, float]:
    """The published figures."""
    cases = ("21k-1", "21k-128", "10k-1", "10k-128", "4096-1", "4096-64")
    gains = {f"gain-{case}": values[f"gain-over-onnxruntime/{case}"] for case in cases}
    return gains | {"gain-21k-1-blas": values["gain-over-blas/21k-1"]}


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """MNIST's first 55,000 images as rows of [0, 1], and their labels."""
    from engram.lab.data_sets.mnist import mnist

    data = mnist()
    pixels = torch.from_numpy(data.train_images[:55_000].reshape(-1, SIZES[0]).astype(np.float32) / 255)
    return pixels, torch.from_numpy(data.train_labels[:55_000].astype(np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--out", type=Path, help="write the result to this file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small, few turns, nothing trained: does it run?")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds, side, data = (20, 512, None) if options.quick else (300, 4096, digits())
    runs = []
    for seed in range(options.repeats):
        values = lenet(seed, rounds, data) | wide(seed, side, max(5, rounds // 20))
        runs.append(values | headlines(values))
        print(f"repeat {seed + 1} of {options.repeats}", file=sys.stderr)
    config = {"counts": COUNTS, "densities": PUBLISHED, "side": side, "density": 0.05, "rounds": rounds, "threads": 1}
    command = "python benchmarks/sparse.py --out results/sparse.json"
    result = build("sparse", "Sparse execution: speed against the same networks kept dense", command, config,
                   range(options.repeats), runs, figures_of("sparse"))
    deliver(result, options.out, as_json=options.json)


if __name__ == "__main__":
    main()
