"""Any PyTorch module, cut at a named layer."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args

import numpy as np
import numpy.typing as npt

from engram.extras import check, refusal
from engram.features.backbones.backbone import (
    Features,
    Pool,
    Takes,
    count,
    fingerprint_of,
    in_batches,
    pooled,
)
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.preprocessing import Preprocessing
from engram.inputs.images import each
from engram.inputs.vectors import as_vectors
from engram.learner import DamagedError, InputError
from engram.packing import pack_tensors
from engram.progress import Progress

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-3
"""An exported network's features may differ from the original's by this share of the largest."""


class TorchBackbone:
    """Features from a layer of a PyTorch module, in evaluation mode and without gradients.

    The module is copied: training the original further changes neither features nor fingerprint. The
    fingerprint covers every tensor of its state, its printed architecture, the cut and the preprocessing. A
    bundle holds the tensors but no code: to open one, give the module again (`Bundle.open(folder, module=...)`),
    or `export` it to ONNX first.

    Args:
        module: a network with one input.
        preprocessing: how pictures become inputs; None for vectors (N, D), handed on as they are.
        cut: the dotted name of the layer whose output is the feature (`dict(module.named_modules())` lists
            them), as it is first called; None for the module's own output.
        pool: what becomes of (N, T, D) tokens. Maps (N, C, H, W) are always averaged over H and W.
        width: of the vectors, where there is no preprocessing.
        name: what people call it.
        device: where it runs.
        batch: how many inputs run at once; with more than one, nothing promises that the last bits of a
            feature do not depend on its company.

    Raises:
        InputError: no layer of that name, or features of another shape; PyTorch is missing.
    """

    kind: ClassVar[str] = "torch"
    network_file: ClassVar[str | None] = "network.safetensors"

    def __init__(
        self,
        module: torch.nn.Module,
        preprocessing: Preprocessing | None = None,
        *,
        cut: str | None = None,
        pool: Pool = "average",
        width: int | None = None,
        name: str = "torch",
        device: str = "cpu",
        batch: int = 1,
    ) -> None:
        _torch()
        from engram.networks.module_copy import module_copy

        if pool not in get_args(Pool):
            raise InputError(f"pool is one of {get_args(Pool)}, not {pool!r}.")
        if (preprocessing is None) == (width is None):
            raise InputError("Give the preprocessing of pictures, or the width of vectors.")
        self.name = name
        self.preprocessing = preprocessing
        self.takes: Takes = "vectors" if preprocessing is None else "pictures"
        self.cut = cut
        self.pool = pool
        self.batch = batch
        self._entry = (width or 0,) if preprocessing is None else preprocessing.shape
        self._device = device
        self._module = module_copy(module).to(device).eval()
        for parameter in self._module.parameters():
            parameter.requires_grad_(False)
        self._forward = _cut(self._module, cut)
        self._architecture = f"{_written_place(type(module))}.{type(module).__qualname__}\n{module!r}"
        self.fingerprint = fingerprint_of(self.kind, self.config(), self.network())
        self.width = int(self.run(np.zeros((1, *self._entry), np.float32)).shape[1])

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """One vector per picture or row, (N, D) float32.

        Raises:
            InputError: not what this network takes, none at all, or features that are not finite.
        """
        if self.preprocessing is None:
            rows = as_vectors(inputs, self._entry[0])
            return in_batches(rows, self._rows, size=self.batch, total=len(rows), progress=progress)
        prepare = self.preprocessing
        return in_batches(
            each(inputs), lambda pictures: self.run(prepare(pictures)),
            size=self.batch, total=count(inputs), progress=progress,
        )

    def config(self) -> dict[str, Any]:
        """Architecture, preprocessing, cut and pooling as JSON values."""
        prepared = None if self.preprocessing is None else self.preprocessing.config()
        return {
            "architecture": self._architecture, "preprocessing": prepared, "cut": self.cut, "pool": self.pool,
            "width": None if prepared else self._entry[0],
        }

    def network(self) -> bytes:
        """The module's state as a safetensors file."""
        return pack_tensors(self._module.state_dict())

    @classmethod
    def restore(
        cls, name: str, config: dict[str, Any], network: bytes | None, *, module: torch.nn.Module | None = None
    ) -> Self:
        """The backbone that a bundle holds, in the module that is given for it.

        Raises:
            InputError: no module was given, or one of another architecture.
            DamagedError: the bundle's description does not make a backbone.
        """
        if module is None:
            raise InputError(
                f"Backbone {name!r} is a PyTorch network, and a bundle holds no code: give its module, "
                "Bundle.open(folder, module=...), or export it to ONNX."
            )
        torch = _torch()
        from safetensors.torch import load

        from engram.networks.module_copy import module_copy

        filled = module_copy(module)
        try:
            prepared = config["preprocessing"]
            preprocessing = None if prepared is None else Preprocessing.from_config(prepared)
            cut, pool, width, architecture = (config[k] for k in ("cut", "pool", "width", "architecture"))
            state = load(network or b"")
        except Exception as error:
            raise DamagedError(f"The description of backbone {name!r} cannot be used: {error}") from error
        try:
            with torch.no_grad():
                filled.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(f"This module is not the one that backbone {name!r} was made of: {error}") from error
        backbone = cls(filled, preprocessing, cut=cut, pool=pool, width=width, name=name)
        if backbone._architecture != architecture:
            raise InputError(f"This module is not the one that backbone {name!r} was made of: it prints otherwise.")
        return backbone

    def with_preprocessing(self, preprocessing: Preprocessing) -> Self:
        """The same network under another preprocessing, and so with another fingerprint."""
        options: dict[str, Any] = {"cut": self.cut, "pool": self.pool, "batch": self.batch}
        return type(self)(self._module, preprocessing, name=self.name, device=self._device, **options)

    def export(self) -> OnnxBackbone:
        """The same features from an ONNX network, which runs without PyTorch. Needs the `onnx` package.

        Raises:
            InputError: the network cannot be exported, or gives other features then.
        """
        network = _exported(self._module, self._forward, self._entry, self._device)
        exported = OnnxBackbone(network, self.preprocessing, pool=self.pool, name=self.name)
        probes = np.random.default_rng(0).uniform(0, 1, (4, *self._entry)).astype(np.float32)
        mine = np.concatenate([self.run(probe[None]) for probe in probes])
        theirs = np.concatenate([exported.run(probe[None]) for probe in probes])
        if mine.shape != theirs.shape or np.abs(mine - theirs).max() > TOLERANCE * np.abs(mine).max():
            raise InputError(f"{self.name!r} gives other features after its export to ONNX: it was not exported.")
        return exported

    def _rows(self, rows: list[npt.NDArray[Any]]) -> Features:
        return self.run(np.asarray(rows, np.float32))

    def run(self, inputs: npt.NDArray[np.float32]) -> Features:
        """(N, D) features of inputs that are prepared already, as one batch.

        Raises:
            InputError: the module fails on the batch, or its output is not one vector for each input.
        """
        torch = _torch()
        with torch.inference_mode():
            try:
                out = self._forward(torch.from_numpy(inputs).to(self._device))
            except InputError:
                raise
            except Exception as error:  # whatever the layers raise
                raise InputError(f"The network {self.name!r} failed on inputs {inputs.shape}: {error}") from error
        if not isinstance(out, torch.Tensor):
            raise InputError(f"Layer {self.cut!r} gives no tensor but {type(out).__name__}: cut elsewhere.")
        nhwc = self.preprocessing is not None and self.preprocessing.layout == "nhwc"
        return pooled(out.float().cpu().numpy(), self.pool, channels_last=nhwc)


class _Reached(Exception):
    """Carries a layer's output out of the network, whose rest need not run."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output


def _cut(module: torch.nn.Module, name: str | None) -> Callable[[torch.Tensor], Any]:
    """The module (a copy of ours) as a function of its input that ends at the named layer."""
    if name is None:
        return module
    layers = dict(module.named_modules())
    if not name or name not in layers:
        raise InputError(f"No layer {name!r} in this module. The last ones are {list(layers)[-12:]}.")

    def stop(_layer: torch.nn.Module, _inputs: Any, output: Any) -> None:
        raise _Reached(output)

    layers[name].register_forward_hook(stop)

    def forward(inputs: torch.Tensor) -> Any:
        try:
            module(inputs)
        except _Reached as reached:
            return reached.output
        raise InputError(f"Layer {name!r} takes no part in the network's forward pass: cut elsewhere.")

    return forward


def _exported(
    module: torch.nn.Module, forward: Callable[[torch.Tensor], Any], entry: tuple[int, ...], device: str
) -> bytes:
    """The module, as far as `forward` runs it, as an ONNX file with a batch of any size."""
    torch = _torch()

    class Cut(torch.nn.Module):  # type: ignore[misc, name-defined]  # PyTorch is imported when first used
        def __init__(self) -> None:
            super().__init__()
            self.whole = module

        def forward(self, inputs: Any) -> Any:
            return forward(inputs)

    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                Cut().eval(), (torch.zeros(2, *entry, device=device),), file, dynamo=False,
                input_names=["inputs"], output_names=["features"],
                dynamic_axes={"inputs": {0: "batch"}, "features": {0: "batch"}},
            )
        except ImportError as error:
            raise refusal(error, "Export to ONNX") or error from error
        except Exception as error:  # the exporter raises whatever its passes meet
            raise InputError(f"This network cannot be exported to ONNX: {error}") from error
    return file.getvalue()


def _torch() -> Any:
    check("A PyTorch backbone", "train")
    import torch

    return torch


def _written_place(kind: type) -> str:
    """The module of a class as bundles name it: Engram's own networks go by where they were when the format was set."""
    return kind.__module__.replace("engram.features.pretraining.", "engram.pretraining.", 1)
