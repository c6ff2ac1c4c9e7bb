"""A sparse network as one C99 file for a microcontroller: weights, kernels and nothing else.

Of the kernels, only those that the network needs go into its file. They read what they multiply by stepping along:
`gap` says how many inputs further the next weight's input is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engram.files import write_atomically
from engram.learner import InputError, Label
from engram.networks.structure.sparse_layers import Convolution, Floats, Linear, Pool, Shape
from engram.networks.structure.sparse_network import SparseNetwork

KERNELS = {
    "linear": """\
static void NAME_linear(const float *x, float *y, int32_t rows, const NAME_count *count, const uint8_t *gap,
                        const float *weight, const float *bias, float slope)
{
    int32_t r;
    for (r = 0; r < rows; r++) {
        const float *in = x;
        float sum = bias[r];
        NAME_count n;
        for (n = count[r]; n > 0; n--) {
            in += *gap++;
            sum += *weight++ * *in;
        }
        y[r] = sum > 0 ? sum : slope * sum;
    }
}""",
    "dense": """\
static void NAME_dense(const float *x, float *y, int32_t rows, int32_t columns, const float *weight,
                       const float *bias, float slope)
{
    int32_t r, c;
    for (r = 0; r < rows; r++) {
        float sum = bias[r];
        for (c = 0; c < columns; c++) sum += *weight++ * x[c];
        y[r] = sum > 0 ? sum : slope * sum;
    }
}""",
    "pad": """\
static void NAME_pad(const float *x, float *y, int32_t maps, int32_t height, int32_t width, int32_t down,
                     int32_t right)
{
    int32_t m, i, j;
    for (m = 0; m < maps; m++)
        for (i = -down; i < height + down; i++)
            for (j = -right; j < width + right; j++)
                *y++ = i < 0 || i >= height || j < 0 || j >= width ? 0.0f : x[(m * height + i) * width + j];
}""",
    "convolution": """\
static void NAME_convolution(const float *x, float *y, int32_t filters, int32_t height, int32_t width,
                             int32_t down, int32_t right, const NAME_count *count, const uint8_t *gap,
                             const float *weight, const float *bias, float slope)
{
    int32_t f, i, j;
    for (f = 0; f < filters; f++, y += height * width) {
        const float *in = x;
        NAME_count n;
        for (i = 0; i < height * width; i++) y[i] = bias[f];
        for (n = count[f]; n > 0; n--, weight++) {
            in += *gap++;
            for (i = 0; i < height; i++)
                for (j = 0; j < width; j++) y[i * width + j] += *weight * in[i * down + j * right];
        }
        for (i = 0; i < height * width; i++) y[i] = y[i] > 0 ? y[i] : slope * y[i];
    }
}""",
    "maximum": """\
static void NAME_maximum(const float *x, float *y, int32_t maps, int32_t high, int32_t wide, int32_t height,
                         int32_t width, int32_t size_y, int32_t size_x, int32_t step_y, int32_t step_x, float slope)
{
    int32_t m, i, j, v, u;
    for (m = 0; m < maps; m++, x += high * wide)
        for (i = 0; i < height; i++)
            for (j = 0; j < width; j++) {
                const float *in = x + i * step_y * wide + j * step_x;
                float most = *in;
                for (v = 0; v < size_y; v++)
                    for (u = 0; u < size_x; u++)
                        if (in[v * wide + u] > most) most = in[v * wide + u];
                *y++ = most > 0 ? most : slope * most;
            }
}""",
    "average": """\
static void NAME_average(const float *x, float *y, int32_t maps, int32_t high, int32_t wide, int32_t height,
                         int32_t width, int32_t size_y, int32_t size_x, int32_t step_y, int32_t step_x, float slope)
{
    int32_t m, i, j, v, u;
    for (m = 0; m < maps; m++, x += high * wide)
        for (i = 0; i < height; i++)
            for (j = 0; j < width; j++) {
                const float *in = x + i * step_y * wide + j * step_x;
                float sum = 0.0f;
                for (v = 0; v < size_y; v++)
                    for (u = 0; u < size_x; u++) sum += in[v * wide + u];
                sum /= (float)(size_y * size_x);
                *y++ = sum > 0 ? sum : slope * sum;
            }
}""",
}


FARTHEST = 255  # from one weight's input to the next's: a byte
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def to_c(
    network: SparseNetwork,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    labels: Sequence[Label] | None = None,
) -> None:
    """Write the network as a C99 file that needs no library, not even for mathematics.

    It defines, for the name `digits`::

        #define DIGITS_INPUTS 784
        #define DIGITS_OUTPUTS 10
        void digits_run(const float *in, float *out);
        extern const char *const digits_labels[];      (where labels are given)

    Weights are constants, kept in flash: a live one takes five bytes, four for its value and one for the distance to
    the one before; a layer that is dense takes four for each. Activations are static: call it from one thread at a
    time. The comment at the top of the file says how many bytes of each it takes. Answers agree with the network's to
    1e-5 of their size.

    Args:
        network: `SparseNetwork.of(module, input_shape)`.
        path: where to; a file that is there is replaced, whole or not at all.
        name: what its names begin with; without it, the file's name.
        labels: what each output means.

    Raises:
        InputError: a network of another kind, a name that C does not allow, or not as many labels as outputs.
    """
    if not isinstance(network, SparseNetwork):
        raise InputError(f"to_c needs a SparseNetwork, not a {type(network).__name__}: pass "
                         "SparseNetwork.of(module, input_shape), from engram.networks.structure.sparse_network.")
    name = name if name is not None else Path(path).stem
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot begin a name in C: pass name= with letters, digits and underscores.")
    outputs = int(np.prod(network.output_shape))
    if labels is not None and len(labels) != outputs:
        raise InputError(f"{len(labels)} labels do not name {outputs} outputs.")
    write_atomically(path, source(network, name, labels).encode(), public=True)


def source(network: SparseNetwork, name: str, labels: Sequence[Label] | None = None) -> str:
    """The text of the file."""
    writer = _Writer(network.chain.input_shape)
    for layer, shape in zip(network.layers, network.chain.shapes[1:], strict=True):
        if isinstance(layer, Linear):
            writer.linear(layer)
        elif isinstance(layer, Convolution):
            writer.convolution(layer, shape)
        elif isinstance(layer, Pool):
            writer.pool(layer, shape)
    inputs, outputs = int(np.prod(network.chain.input_shape)), int(np.prod(network.output_shape))
    buffers, calls = writer.wired(outputs)
    upper = name.upper()
    wide = writer.longest >= 1 << 16
    counts, bytes_ = ("uint32_t", 4) if wide else ("uint16_t", 2)
    floats = sum(buffers.values())
    parts = [
        f"/* {name}: {inputs} inputs, {outputs} outputs, {network.live} weights that are not zero.\n"
        f" * {writer.bytes + bytes_ * writer.rows} bytes of constants, {4 * floats} bytes of activations.\n"
        f" * Written by Engram. Declare: void {name}_run(const float *in, float *out);\n */",
        "#include <stdint.h>",
        f"#define {upper}_INPUTS {inputs}\n#define {upper}_OUTPUTS {outputs}",
        f"void {name}_run(const float *in, float *out);",
        *_table(name, labels),
        f"typedef {counts} {name}_count;",
        *(KERNELS[kernel].replace("NAME", name) for kernel in KERNELS if kernel in writer.kernels),
        *(text.replace("NAME", name) for text in writer.constants),
        *(f"static float {name}_{buffer}[{size}];" for buffer, size in buffers.items() if size),
        f"void {name}_run(const float *in, float *out)\n{{\n"
        + "".join(f"    {call};\n" for call in calls).replace("NAME", name) + "}",
    ]
    return "\n\n".join(parts) + "\n"


@dataclass
class _Writer:
    """Constants and calls, layer by layer, and what they need."""

    shape: Shape
    constants: list[str] = field(default_factory=list)
    kernels: set[str] = field(default_factory=set)
    bytes: int = 0
    longest: int = 0
    rows: int = 0
    _steps: list[tuple[str, str, int]] = field(default_factory=list)  # kernel, further arguments, floats put out

    def linear(self, layer: Linear) -> None:
        """Gaps and weights, or every weight where that is shorter."""
        rows, columns = layer.weight.shape
        gaps, weights, counts = _gaps(np.broadcast_to(np.arange(columns), layer.weight.shape), layer.weight)
        if 5 * len(weights) + 2 * rows < 4 * layer.weight.size:
            arrays = self._sparse(gaps, weights, counts)
            self._step("linear", f"{rows}, {arrays}, {self._bias(layer.bias)}, {_number(layer.slope)}", rows)
        else:
            whole = self._array("float", "weight", _numbers(layer.weight), 4 * layer.weight.size)
            bias = self._bias(layer.bias)
            self._step("dense", f"{rows}, {columns}, {whole}, {bias}, {_number(layer.slope)}", rows)
        self.shape = (rows,)

    def convolution(self, layer: Convolution, out: Shape) -> None:
        """Padding, if there is any, as a step of its own; then each weight over all places at once."""
        channels, height, width = self.shape
        down, right = layer.padding
        if down or right:
            height, width = height + 2 * down, width + 2 * right
            inner = f"{channels}, {self.shape[1]}, {self.shape[2]}, {down}, {right}"
            self._step("pad", inner, channels * height * width)
        filters, each, high, wide = layer.weight.shape
        first = np.arange(filters) // (filters // layer.groups) * each * height * width
        place = (np.arange(each)[:, None, None] * height * width
                 + np.arange(high)[:, None] * layer.dilation[0] * width + np.arange(wide) * layer.dilation[1])
        gaps, weights, counts = _gaps(first[:, None, None, None] + place, layer.weight)
        arrays = self._sparse(gaps, weights, counts)
        geometry = f"{filters}, {out[1]}, {out[2]}, {layer.stride[0] * width}, {layer.stride[1]}"
        self._step("convolution", f"{geometry}, {arrays}, {self._bias(layer.bias)}, {_number(layer.slope)}",
                   int(np.prod(out)))
        self.shape = out

    def pool(self, layer: Pool, out: Shape) -> None:
        """Windows of each map."""
        channels, height, width = self.shape
        windows = f"{layer.size[0]}, {layer.size[1]}, {layer.stride[0]}, {layer.stride[1]}"
        geometry = f"{channels}, {height}, {width}, {out[1]}, {out[2]}, {windows}"
        self._step(layer.kind, f"{geometry}, {_number(layer.slope)}", int(np.prod(out)))
        self.shape = out

    def wired(self, outputs: int) -> tuple[dict[str, int], list[str]]:
        """The two buffers between which activations go to and fro, with their floats; and the calls in order."""
        if not self._steps:
            return {"a": 0, "b": 0}, [f"int32_t i;\n    for (i = 0; i < {outputs}; i++) out[i] = in[i]"]
        sizes, calls, here = {"a": 0, "b": 0}, [], "in"
        for number, (kernel, arguments, floats) in enumerate(self._steps):
            buffer = "ab"[number % 2]
            there = "out" if number + 1 == len(self._steps) else f"NAME_{buffer}"
            if there != "out":
                sizes[buffer] = max(sizes[buffer], floats)
            calls.append(f"NAME_{kernel}({here}, {there}, {arguments})")
            here = there
        return sizes, calls

    def _sparse(self, gaps: npt.NDArray[np.uint8], weights: Floats, counts: npt.NDArray[np.int64]) -> str:
        self.longest, self.rows = max(self.longest, int(counts.max())), self.rows + len(counts)
        arrays = (
            self._array("NAME_count", "count", map(str, counts), 0),
            self._array("uint8_t", "gap", map(str, gaps), len(gaps)),
            self._array("float", "weight", _numbers(weights), 4 * len(weights)),
        )
        return ", ".join(arrays)

    def _bias(self, bias: Floats) -> str:
        return self._array("float", "bias", _numbers(bias), 4 * len(bias))

    def _array(self, kind: str, what: str, numbers: Iterable[str], size: int) -> str:
        array = f"NAME_{what}_{len(self._steps)}"
        self.constants.append(f"static const {kind} {array}[] = {{\n{_wrapped(list(numbers) or ['0'])}\n}};")
        self.bytes += size
        return array

    def _step(self, kernel: str, arguments: str, floats: int) -> None:
        self.kernels.add(kernel)
        self._steps.append((kernel, arguments, floats))


def _gaps(place: npt.NDArray[np.int64], weight: Floats) -> tuple[npt.NDArray[np.uint8], Floats, npt.NDArray[np.int64]]:
    """Of each row the live weights, each with the distance of its input from the one before; and their counts.

    A distance of more than a byte is gone in several steps, with weights of zero on the way.
    """
    gaps: list[int] = []
    weights: list[float] = []
    counts: list[int] = []
    for spots, row in zip(place.reshape(len(weight), -1), weight.reshape(len(weight), -1), strict=True):
        live, before = np.flatnonzero(row), 0
        stored = len(gaps)
        for spot, value in zip(spots[live], row[live], strict=True):
            while spot - before > FARTHEST:
                gaps.append(FARTHEST)
                weights.append(0.0)
                before += FARTHEST
            gaps.append(int(spot - before))
            weights.append(float(value))
            before = spot
        counts.append(len(gaps) - stored)
    return np.array(gaps, np.uint8), np.array(weights, np.float32), np.array(counts, np.int64)


def _table(name: str, labels: Sequence[Label] | None) -> list[str]:
    if labels is None:
        return []
    texts = ", ".join(_text(str(label)) for label in labels)
    return [f"extern const char *const {name}_labels[];\nconst char *const {name}_labels[] = {{{texts}}};"]


def _text(text: str) -> str:
    """A string of C: UTF-8, with whatever is not a plain letter as three octal digits."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_.,:"
    letters = (chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(letters)}"'


def _numbers(values: npt.ArrayLike) -> list[str]:
    """The shortest texts that C reads as the same float32.

    >>> _numbers([1, 0.1, -2.5e-20])
    ['1.0f', '0.1f', '-2.5e-20f']
    """
    return [f"{text}f" for text in np.asarray(values, np.float32).ravel().astype(str)]


def _number(value: float) -> str:
    return _numbers(value)[0]


def _wrapped(items: list[str], width: int = 116) -> str:
    lines, line = [], " "
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line)
            line = " "
        line += f" {item},"
    return "\n".join([*lines, line])
