"""Sparse execution: a pruned network run so that it is faster, not only smaller."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from engram.learner import InputError
from engram.networks.structure.sparse_choice import Choice
from engram.networks.structure.sparse_layers import Chain, Floats, Layer, Linear
from engram.networks.structure.sparse_library import library
from engram.networks.structure.sparse_program import Program

if TYPE_CHECKING:
    import torch

_FLOAT32 = np.dtype(np.float32)


class SparseNetwork:
    """A chain of layers whose zero weights cost nothing: numbers in, numbers out, no PyTorch.

    Where there is a C compiler, the kernels are compiled once and kept in the cache, each layer gets the
    kernel that is measured to be fastest for its own weights (compressed rows, blockwise lookup, or dense; once in
    a process), and one call runs the whole network on one thread. Without a compiler numpy does the same sums.
    Outputs agree with the masked network to 1e-5 of their size; which kernel is fastest may differ from process to
    process, and with it the last bits. Inputs are taken to be finite. Safe to call from several threads.

    Args:
        layers: convolutions and pools first, then linear layers.
        input_shape: of one input; needed where the first layer is not linear.
        compiled: False to use numpy in any case.

    Raises:
        InputError: layers that do not fit each other.

    >>> weight = np.zeros((2, 1000), np.float32)
    >>> weight[0, 3], weight[1, 7] = 2, -1
    >>> network = SparseNetwork([Linear(weight, slope=0.01)])
    >>> network(np.ones((1, 1000)))
    array([[ 2.  , -0.01]], dtype=float32)
    >>> network.live
    2
    """

    def __init__(
        self, layers: Iterable[Layer], input_shape: Sequence[int] | None = None, *, compiled: bool = True
    ) -> None:
        layers = tuple(layers)
        if input_shape is None:
            if not layers or not isinstance(layers[0], Linear):
                raise InputError("Give input_shape, such as (1, 28, 28): the first layer does not tell it.")
            input_shape = (layers[0].weight.shape[1],)
        self.chain = Chain(layers, tuple(int(side) for side in input_shape))
        self.output_shape = self.chain.shapes[-1]
        kernels = library() if compiled else None
        self._compiled = Program(self.chain, kernels) if kernels is not None else None

    @classmethod
    def of(cls, module: torch.nn.Module, input_shape: Sequence[int], *, compiled: bool = True) -> Self:
        """The same network as a PyTorch module, of whose weights many are zero.

        Understood are linear and convolutional layers (masks applied), batch normalisation after them, ReLU and
        leaky ReLU, pooling, flattening, dropout and identity, in modules or called in `forward`, one after the
        other. That both give the same answers is tried before this returns.

        Raises:
            InputError: another operation, or operations that are not a chain; the message names it.
        """
        from engram.networks.structure.sparse_modules import layers_of

        return cls(layers_of(module, tuple(input_shape)), input_shape, compiled=compiled)

    @property
    def live(self) -> int:
        """Weights that are not zero."""
        return self.chain.live

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What it was made of."""
        return self.chain.layers

    def __call__(self, inputs: npt.ArrayLike) -> Floats:
        """`(N, *input_shape)` of any real dtype -> `(N, *output_shape)` float32.

        Raises:
            InputError: another shape, or nothing that is a number.
        """
        fast = self._compiled
        if fast is not None and inputs.__class__ is np.ndarray and inputs.dtype is _FLOAT32:
            out = fast.again(inputs)
            if out is not None:
                return out
        rows = self._checked(inputs)
        return self.chain.run(rows) if fast is None else fast.run(rows)

    def explain(self) -> str:
        """Which kernel each layer got, and the microseconds of all that were tried."""
        return "numpy: there is no C compiler here." if self._compiled is None else self._compiled.explain()

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What `explain` says, to compute with; empty where numpy runs."""
        return () if self._compiled is None else tuple(self._compiled.choices)

    def _checked(self, inputs: npt.ArrayLike) -> Floats:
        try:
            array = np.asarray(inputs)
            if array.dtype.kind not in "fiub":
                raise TypeError(f"they are {array.dtype}")
            rows = np.ascontiguousarray(array, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"Inputs are arrays of real numbers: {error}.") from error
        if rows.shape[1:] != self.chain.input_shape or not rows.ndim:
            raise InputError(f"Inputs have the shape (N, {', '.join(map(str, self.chain.input_shape))}), "
                             f"not {array.shape}.")
        return rows
