"""What a brain stands on: the bundle that is named, or that first inputs ask for; and how features become integers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from engram.brain.knowledge import Rows
from engram.extras import installed
from engram.features.backbones.backbone import Backbone, Features
from engram.features.backbones.bundle import Bundle, step_for
from engram.features.backbones.vectors import VectorBackbone
from engram.heads.quantisation import FARTHEST, LIMIT, BeyondRange, Quantisation, TooSmall
from engram.inputs import sounds
from engram.inputs.augmentation import views
from engram.inputs.examples import TABLES, Examples, is_file, is_table, vectors_of
from engram.inputs.folders import count
from engram.inputs.images import SUFFIXES, is_open_file
from engram.inputs.text import is_sentence
from engram.inputs.text_files import LINES, holds_text
from engram.inputs.vectors import as_vectors, unit_length
from engram.learner import FloatArray, InputError
from engram.progress import Progress

PHOTOS, EXTRA = "photos", "efficientnet-lite0"
"""What pictures are shown to where no other backbone is named: the packaged one, and that of the extra [photos]."""

SOUNDS, SOUND_EXTRA = "log-mel", "speech"
"""What sounds are shown to where no other backbone is named: the packaged one, and that of the extra [sound]."""

SENTENCES, TEXT_EXTRA = "english-ngrams", "minilm"
"""What texts are shown to where no other backbone is named: the packaged one, and that of the extra [text]."""

_MOST_COLUMNS = 12  # of which a command is written out


def as_bundle(given: Any, first: Any = None) -> Bundle:
    """A bundle as it is, a backbone without statistics, or a bundle by its name or folder.

    Args:
        given: one of these.
        first: the first inputs, for a backbone that is made of them.

    Raises:
        InputError, DamagedError: none of these, or it cannot be opened.
    """
    if isinstance(given, Bundle):
        return given
    if isinstance(given, str | os.PathLike):
        from engram.features.backbones.catalogue import bundle_of

        return bundle_of(given, first)
    if isinstance(given, Backbone):
        return _bare(given)
    raise InputError(f"Expected a bundle, a backbone, or the name of one, not {type(given).__name__}.")


def _bare(backbone: Backbone) -> Bundle:
    if isinstance(backbone, VectorBackbone):  # readings: their lengths mean something
        return Bundle.bare(backbone, step=step_for(8.0), normalise=False)
    return Bundle.bare(backbone)


def default_bundle(inputs: Any, target: str | None = None) -> Bundle:
    """What a brain stands on that was given no backbone: for pictures that of the extra [photos] where it is
    installed, else the photo backbone that comes with the program; for texts likewise that of the extra [text], else
    `english-ngrams`; for sounds that of [sound], else `log-mel`; for vectors their numbers, columns of another scale
    than about 1 scaled by what these first ones show. A str of several words that is no file's name is a text. A folder
    is one of pictures or of sounds, whichever it has more of, and of texts where it has neither.

    Args:
        target: the column of a table that holds the labels, if it has one of that name.

    Raises:
        InputError: neither pictures nor sounds nor texts nor vectors.
        DamagedError: the extra's weights are damaged.
    """
    first = inputs
    while isinstance(first, list | tuple) and len(first) and sounds.as_pair(first) is None:
        first = first[0]
    pixels = isinstance(first, np.ndarray) and first.dtype == np.uint8 and first.ndim >= 2
    if pixels and first is inputs and first.ndim == 2:
        raise InputError(f"A {first.shape} array of bytes is ambiguous, one grey picture or {len(first)} vectors: for "
                         "a picture pass [array], or make the brain with Brain('photos'); for vectors pass "
                         "array.astype(float).")
    text_file = isinstance(first, os.PathLike) and holds_text(first)
    if text_file or is_sentence(first, SUFFIXES | sounds.SUFFIXES | TABLES | LINES):
        return text_bundle()
    if _is_sound(first):
        return sound_bundle()
    if is_file(first) and not is_table(first):
        pixels = is_file(inputs) or (isinstance(inputs, list | tuple) and is_file(inputs[0]))
    if pixels or isinstance(first, Image.Image | bytes | bytearray) or is_open_file(first):
        return picture_bundle()
    return Bundle.for_vectors(vectors_of(inputs, None, target).items)


def augmented(bundle: Bundle, items: Sequence[Any], progress: Progress | None = None) -> tuple[Features, Features]:
    """(N, D) features of pictures, and (N, D) features of each picture together with further views of it.

    The second is half the picture's own feature and half the mean over it and seven views of it
    (`engram.inputs.augmentation`), each of unit length where the bundle's features are. So a picture and its views are
    one example: they are learned, forgotten and left out together, and count once.

    Raises:
        InputError: the backbone does not work on pictures, or something is none.
    """
    if bundle.takes != "pictures" or bundle.grid is not None:
        raise InputError("Only pictures seen as a whole have further views: leave augment away.")
    plain, together = [], []
    for done, item in enumerate(items, 1):
        seen = bundle.features([item, *views(item)])
        plain.append(seen[0])
        together.append(blended(bundle, seen))
        if progress is not None:
            progress(done, len(items))
    return np.stack(plain).astype(np.float32), np.stack(together).astype(np.float32)


def check_sees_places(bundle: Bundle) -> None:
    """Raises InputError where its backbone sees pictures as a whole: then nothing says where something is."""
    if bundle.grid is None:
        raise InputError(f"A brain on {bundle.name!r} sees pictures as a whole. Make one that sees places: "
                         "`engram teach NEW.brain GOOD-PICTURES --backbone good-parts`, or Brain('good-parts').")


def blended(bundle: Bundle, seen: Features) -> FloatArray:
    """One feature (D,) float64 out of (V, D), a picture's own first, its views' after it; see `augmented`."""
    rows = as_vectors(seen)
    rows = unit_length(rows) if bundle.normalise else rows
    return np.asarray((rows[0] + rows.mean(axis=0)) / 2)


def rows_of(bundle: Bundle, features: npt.NDArray[Any]) -> Rows:
    """(N, D) int16: what is added when these features are learned.

    Raises:
        InputError: not finite, zero, or too far from the bundle's mean.
    """
    return quantisation_of(bundle).small(as_vectors(features, bundle.width))


def quantisation_of(bundle: Bundle) -> Quantisation:
    """How features of a bundle become integers."""
    return Quantisation(bundle.step, bundle.normalise, bundle.mean, FARTHEST if bundle.scaled else LIMIT)


def rows_to_learn(bundle: Bundle, features: npt.NDArray[Any], examples: Examples) -> Rows:
    """`rows_of` for (N, D) features to be learned: refused by row and column, in the units that were given.

    Raises:
        InputError: a row that is out of range, or of which nothing would be kept.
    """
    quantise, vectors = quantisation_of(bundle), as_vectors(features, bundle.width)
    try:
        rows = quantise.small(vectors)
        quantise.check_kept(vectors, rows)
    except BeyondRange as error:
        if not isinstance(bundle.backbone, VectorBackbone):
            raise
        raise InputError(_out_of_range(error, bundle, bundle.backbone, examples)) from error
    except TooSmall as error:
        value = np.abs(np.asarray(examples.items[error.row], np.float64)).max()
        raise InputError(f"{_where(error.row, examples)}: the largest reading, {value:.4g}, is too small for the range "
                         "of this brain, which would keep nothing but zeros of it. The range follows the first "
                         "examples that a brain is taught; a new brain, "
                         f"Brain(Bundle.of_vectors({bundle.width}, largest={value:.3g})), keeps it.") from error
    return rows


class OutOfRange(NamedTuple):
    """How many rows hold readings beyond the range, and the column of the first of them, with what to say about it."""

    rows: int
    column: int
    words: str


def out_of_range(bundle: Bundle, features: npt.NDArray[Any], examples: Examples) -> OutOfRange | None:
    """The rows that were asked about and hold what cannot be told from the limit of the range; None: none.

    They are not known, whatever they are.
    """
    if bundle.normalise or not isinstance(bundle.backbone, VectorBackbone):
        return None
    most = FARTHEST if bundle.scaled else LIMIT
    if np.abs(features).max() <= most * bundle.step - bundle.largest_mean:
        return None
    lost = np.abs(np.rint((features - bundle.mean) / bundle.step)) > most
    if not lost.any():
        return None
    rows = int(lost.any(axis=1).sum())
    row, column = map(int, np.argwhere(lost)[0])
    words = _described(row, column, bundle, bundle.backbone, examples)
    more = f" {rows} rows are out of range." if rows > 1 else ""
    mend = _another_range(bundle, column, row, examples)
    return OutOfRange(rows, column, f"{words}, so it is not known.{more} {mend}")


def _out_of_range(error: BeyondRange, bundle: Bundle, backbone: VectorBackbone, examples: Examples) -> str:
    words = _described(error.row, error.column, bundle, backbone, examples)
    return (f"{words}. Correct the reading or leave the row out. "
            f"{_another_range(bundle, error.column, error.row, examples)}")


def _described(row: int, column: int, bundle: Bundle, backbone: VectorBackbone, examples: Examples) -> str:
    reach = np.full((1, bundle.width), quantisation_of(bundle).most * bundle.step)
    low, high = (float(backbone.readings(bundle.mean + sign * reach)[0, column]) for sign in (-1, 1))
    name = f" ({examples.columns[column]})" if examples.columns else ""
    return (f"{_where(row, examples)}, column {column + 1}{name}: {_reading(examples, row, column):.6g} is outside "
            f"{low:.4g} to {high:.4g}, the range of this brain")


def _another_range(bundle: Bundle, column: int, row: int, examples: Examples) -> str:
    """How to make a brain that takes this reading too."""
    largest = "[...]"
    if bundle.width <= _MOST_COLUMNS and isinstance(bundle.backbone, VectorBackbone):
        near = np.full((1, bundle.width), LIMIT * bundle.step)
        each = np.abs(bundle.backbone.readings(bundle.mean + near)[0])
        each[column] = max(each[column], abs(_reading(examples, row, column)))
        largest = "[" + ", ".join(f"{value:.3g}" for value in each) + "]"
    return ("The range follows the first examples that a brain is taught; a new brain, "
            f"Brain(Bundle.of_vectors({bundle.width}, largest={largest})), takes this one.")


def _reading(examples: Examples, row: int, column: int) -> float:
    return float(np.asarray(examples.items[row], np.float64)[column])


def _where(row: int, examples: Examples) -> str:
    source = examples.sources[row]
    return f"Vector {row + 1}" + (f" ({source})" if source else "")


def text_bundle() -> Bundle:
    """What a new brain shows texts to."""
    from engram.features.backbones.catalogue import bundle_of

    return bundle_of(TEXT_EXTRA if installed("text") else SENTENCES)


def sound_bundle() -> Bundle:
    """What a new brain lets hear sounds."""
    from engram.features.backbones.catalogue import bundle_of

    return bundle_of(SOUND_EXTRA if installed("sound") else SOUNDS)


def _is_sound(first: Any) -> bool:
    """Whether it is samples with their rate, a file of sound, or a folder with more sounds than pictures."""
    if is_file(first):
        path = Path(first)
        if path.suffix.lower() in sounds.SUFFIXES:
            return True
        with suppress(OSError):  # too long for a name
            return path.is_dir() and count(path, sounds.SUFFIXES) > count(path, SUFFIXES)
        return False
    if is_open_file(first):
        return sounds.begins_as_sound(_beginning(first))
    if isinstance(first, bytes | bytearray):
        return sounds.begins_as_sound(bytes(first[:16]))
    return sounds.as_pair(first) is not None


def _beginning(file: Any) -> bytes:
    """The first bytes of an open file that can be read again from where it was; none of another."""
    try:
        place = file.tell()
        begins = file.read(16)
        file.seek(place)
    except (AttributeError, OSError, ValueError):
        return b""
    return begins if isinstance(begins, bytes) else b""


def picture_bundle() -> Bundle:
    """What a new brain shows pictures to."""
    if installed("photos"):
        from engram.features.backbones.catalogue import bundle_of

        return bundle_of(EXTRA)
    return _packaged()


@lru_cache(maxsize=1)
def _packaged() -> Bundle:
    """The packaged one, whatever the user calls by its name."""
    from engram.features.backbones.bundle_folder import packaged_folder

    return Bundle.open(packaged_folder() / PHOTOS)
