"""Feature vectors, arrays of any shape, and labels: validated before anything learns from them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engram.learner import FloatArray, InputError, Label, LabelError
from engram.printable import from_file_name

_BLANK = frozenset("\u115f\u1160\u200b\u200c\u200d\u2060\u2800\u3164\ufeff\uffa0")  # nothing to see
_LONGEST_ANSWER = 64  # characters; "Nothing I know" has 14
_WORDS = re.compile(r"[^\W_]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ASYMMETRY = 1e-6  # of the largest entry: what float32 leaves when sums are taken in another order
_SHORT, _LONG = 1e-140, 1e140  # norms between these are exact to the last bits


def as_vectors(inputs: Any, width: int | None = None) -> FloatArray:
    """One vector or many as a finite (N, D) float64 array.

    Args:
        inputs: (D,) or (N, D), anything numpy reads as real numbers.
        width: the D that is wanted, if it is known already.

    Raises:
        InputError: empty, not numeric, not 1- or 2-dimensional, another width, NaN or infinity.

    >>> as_vectors([1, 2, 3]).shape
    (1, 3)
    """
    array = as_array(inputs)
    if array.dtype.kind == "c":
        raise InputError("Complex data not supported: vectors must be real numbers.")
    try:
        array = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Inputs are not a rectangle of numbers: {error}") from error
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2:
        raise InputError(f"Expected (N, D) vectors, got an array of shape {array.shape}.")
    if not array.size:
        raise InputError(f"Nothing to work on: 0 values in an array of shape {array.shape}.")
    if width is not None and array.shape[1] != width:
        raise InputError(f"Expected {width} values per vector, got {array.shape[1]}.")
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise InputError(f"Vector {bad + 1} contains NaN or infinity: fill in missing values, or leave the vector out.")
    return array


def as_array(inputs: Any) -> npt.NDArray[Any]:
    """What numpy reads as an array, and nothing that it would read as something else without a word.

    Tensors are taken without their gradients, from whatever device they are on.

    Raises:
        InputError: sparse, with masked values, or of rows of different lengths.

    >>> as_array([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    if type(inputs) is np.ndarray:
        return inputs
    if hasattr(inputs, "toarray"):
        raise InputError("Sparse input is not supported: pass a dense array, such as X.toarray().")
    try:
        if isinstance(inputs, list | tuple):
            inputs = [one if isinstance(one, float | int | str) else _unwrapped(one) for one in inputs]
        return np.asarray(_unwrapped(inputs))
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"Inputs are not a rectangle of numbers: {error}") from error


def _unwrapped(given: Any) -> Any:
    if isinstance(given, np.ma.MaskedArray):
        if np.ma.getmaskarray(given).any():
            raise InputError("Some values are masked, and what is behind a mask is no reading: fill them first, such "
                             "as X.filled(0), or leave these rows out.")
        return given.data
    if hasattr(given, "detach") and hasattr(given, "cpu"):
        return given.detach().cpu()
    return given


def as_covariance(covariance: Any, width: int | None = None) -> FloatArray:
    """A finite, symmetric (D, D) float64 matrix; an asymmetry that rounding left is evened out.

    Raises:
        InputError: another shape, NaN or infinity, asymmetric, or a negative variance.
    """
    matrix = as_vectors(covariance)
    if matrix.shape[0] != matrix.shape[1] or width not in (None, matrix.shape[0]):
        raise InputError(f"A covariance of features is a ({width or 'D'}, {width or 'D'}) matrix, not {matrix.shape}.")
    gap = np.abs(matrix - matrix.T)
    if gap.max() > _ASYMMETRY * np.abs(matrix).max():
        row, column = np.unravel_index(gap.argmax(), gap.shape)
        raise InputError(f"A covariance is symmetric; this one holds {matrix[row, column]:.6g} at ({row}, {column}), "
                         f"but {matrix[column, row]:.6g} at ({column}, {row}).")
    if matrix.diagonal().min() < 0:
        raise InputError(f"A covariance has no negative variance; that of feature {matrix.diagonal().argmin()} is "
                         f"{matrix.diagonal().min():.6g}.")
    return matrix if not gap.any() else (matrix + matrix.T) / 2


def check_varies(covariance: FloatArray) -> None:
    """Refuse a (D, D) covariance that is zero: no distance can be measured with it.

    Raises:
        InputError: every entry is zero.
    """
    if not covariance.diagonal().any():
        raise InputError("The covariance is zero: within each class, what it was measured on does not vary. Measure it "
                         "on examples that differ, or leave it away.")


def unit_length(vectors: FloatArray) -> FloatArray:
    """Each row of (N, D) vectors divided by its Euclidean norm.

    Raises:
        InputError: a row of zeros, which has no direction.
    """
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    extreme = ~((norms > _SHORT) & (norms < _LONG))
    if extreme.any():  # their squares leave the range of float64: bring the largest value to 1 first
        largest = np.abs(vectors).max(axis=1)
        if not largest.all():
            raise InputError(f"Vector {int(np.argmin(largest)) + 1} is all zeros and has no direction.")
        vectors = vectors / np.where(extreme, largest, 1.0)[:, None]
        norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    normalised: FloatArray = vectors / norms[:, None]
    return normalised


def as_labels(targets: Any, count: int, like: Label | None = None) -> list[Label]:
    """One label per input, as plain `str` or `int`.

    Args:
        targets: one label for all inputs, or a sequence of `count` labels.
        count: how many inputs there are.
        like: a label taught before, whose type new ones must share.

    Raises:
        LabelError: another number of labels; a label that is neither str nor int; mixed types; a str that is empty,
            white space only, not Unicode text (it holds a lone surrogate) or "Nothing I know"; bytes, and collections
            without an order.

    >>> as_labels("cat", 2)
    ['cat', 'cat']
    >>> as_labels(np.array([3, 4]), 2)
    [3, 4]
    """
    labels = kept_labels(targets, count, like)
    names = dict.fromkeys(labels)
    for label in names:
        check_text(label)
    if all(isinstance(label, int) or label.isascii() for label in names):
        return labels
    return [normal_form(label) for label in labels]


def normal_form(label: Label) -> Label:
    """A label as it is kept: text in normal form C (Unicode Standard Annex 15), so that it is one label however typed.

    >>> normal_form("cafe\N{COMBINING ACUTE ACCENT}") == "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    True
    """
    return unicodedata.normalize("NFC", label) if isinstance(label, str) else label


def check_text(label: Label) -> None:
    """Refuse a new label that is a str which cannot be read or stored, or would be taken for an answer.

    Raises:
        LabelError: it shows nothing, reads as the answer "Nothing I know", or holds a lone surrogate.
    """
    if not isinstance(label, str):
        return
    if not label.isascii() and _SURROGATE.search(label):
        raise LabelError(f"The label {label!a} is not Unicode text: it holds half a character. Write it anew, such as "
                         f"{from_file_name(label)!a}.")
    if all(sign.isspace() or sign in _BLANK for sign in label):
        raise LabelError(f"The label {label!r} is empty: a label needs at least one visible character.")
    if len(label) <= _LONGEST_ANSWER and _said(label) == ["nothing", "i", "know"]:
        raise LabelError(f"{label!r} is what is answered to unknown inputs, so it cannot be a label: choose another"
                         f" name. To teach what something is not: brain.learn_not, or engram teach --not.")


def _said(label: str) -> list[str]:
    """The words of a label, as they sound: no capitals, marks or signs that are not seen."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKC", label) if unicodedata.category(sign) != "Cf")
    return _WORDS.findall(plain.casefold())


def known_label(label: Label, known: Collection[Label]) -> Label:
    """The label of those known that is meant: the very one, else the one of the same normal form C, else that form.

    Earlier versions kept labels as they came.
    """
    if not isinstance(label, str) or label.isascii() or label in known:
        return label
    normal = normal_form(label)
    alike = (one for one in known if normal_form(one) == normal)
    return normal if normal in known else next(alike, normal)


def kept_labels(targets: Any, count: int, like: Label | None = None) -> list[Label]:
    """`as_labels` for labels that were taught before: earlier versions accepted any str.

    Raises:
        LabelError: another number of labels, mixed types, or a label that is neither str nor int.
    """
    labels = _plain_labels(targets, count)
    if len(labels) != count:
        raise LabelError(f"Got {count} inputs but {len(labels)} labels.")
    kinds = set(map(type, labels)) | ({type(like)} if like is not None else set())
    if not kinds <= {str, int}:
        bad = next(label for label in labels if type(label) not in (str, int))
        hint = " Say which is which, such as 'good' and 'bad', or pass 1 and 0." if isinstance(bad, bool) else ""
        raise LabelError(f"Labels must be str or int, not {type(bad).__name__}: {bad!r}.{hint}")
    if len(kinds) > 1:
        raise LabelError("The labels of one learner must be all str or all int; these are mixed.")
    return labels


def _plain_labels(targets: Any, count: int) -> list[Any]:
    if isinstance(targets, str | int | np.str_ | np.integer) and not isinstance(targets, bool):
        return [_plain(targets)] * count
    if hasattr(targets, "tolist") and hasattr(targets, "ndim"):  # an array, a tensor, a column of a table
        return [_plain(t) for t in np.ravel(np.array(targets.tolist(), object)).tolist()]
    without_order = isinstance(targets, set | frozenset | Mapping | bytes | bytearray | memoryview)
    if isinstance(targets, Iterable) and not without_order:
        labels = list(targets)
        return labels if set(map(type, labels)) <= {str, int} else [_plain(label) for label in labels]
    raise LabelError(f"Labels must be str or int, one or a list of them, not {type(targets).__name__}: {targets!r}.")


def _plain(label: Any) -> Any:
    if isinstance(label, np.generic):
        return label.item()
    if isinstance(label, str) and type(label) is not str:
        return str(label)
    return label


def positions(labels: Sequence[Label], book: dict[Label, int]) -> npt.NDArray[np.intp]:
    """The place of each label in the book, (N,) intp; new labels get the next places, in order."""
    for label in dict.fromkeys(labels):
        book.setdefault(label, len(book))
    return np.fromiter(map(book.__getitem__, labels), np.intp, len(labels))


Batch = npt.NDArray[np.float32]


def as_batch(inputs: Any, shape: Sequence[int] | None = None) -> Batch:
    """One input or many as a finite (N, ...) float32 array.

    Args:
        inputs: (N, ...), one of that shape, or flattened ones (N, size); anything numpy reads as real numbers.
        shape: of one input, if it is known; without it the first dimension counts the inputs.

    Raises:
        InputError: empty, not numeric, of another shape, NaN or infinity.

    >>> as_batch([[0, 1], [2, 3]], shape=(2, 2)).shape
    (1, 2, 2)
    >>> as_batch(np.zeros((5, 4)), shape=(2, 2)).shape
    (5, 2, 2)
    """
    array = _numbers(inputs)
    array = array[None] if array.ndim < 2 and shape is None else _shaped(array, shape)
    if not array.size:
        raise InputError(f"Nothing to work on: 0 values in an array of shape {array.shape}.")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    # one pass without a temporary array: a sum is finite unless something in it is not, or it overflows
    if not np.isfinite(array.sum()) and not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))[0])
        raise InputError(f"Input {bad + 1} contains NaN or infinity, or what float32 cannot hold.")
    return array


def _numbers(inputs: Any) -> npt.NDArray[Any]:
    array = as_array(inputs)
    try:
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Inputs are not a rectangle of numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"Inputs are real numbers, not {array.dtype}.")
    return array


def _shaped(array: npt.NDArray[Any], shape: Sequence[int] | None) -> npt.NDArray[Any]:
    if shape is None:
        return array
    wanted = tuple(shape)
    if array.shape in {wanted, (int(np.prod(wanted)),)}:
        return array.reshape(1, *wanted)
    if array.ndim and array.shape[1:] in {wanted, (int(np.prod(wanted)),)}:
        return array.reshape(len(array), *wanted)
    raise InputError(f"Expected inputs of shape {wanted}, got an array of shape {array.shape}.")
