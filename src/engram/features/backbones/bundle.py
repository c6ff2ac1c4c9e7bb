"""A bundle: a backbone made ready to be learned upon, with the statistics of its own features.

A head needs to know how features of one class scatter before it has seen two examples of anything: the
pooled within-class covariance S0 and the mean m0, measured once on data the backbone knows, travel with it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from engram.features.backbones.backbone import Backbone, Features, Stored, Takes
from engram.features.backbones.bundle_folder import (
    folder_of,
    packed,
    parts_from,
    read_folder,
    statistics_from,
    statistics_to,
    unpacked,
    write_folder,
)
from engram.features.backbones.feature_statistics import FeatureStatistics
from engram.features.backbones.preprocessing import Preprocessing
from engram.heads.regression.targets import Targets
from engram.inputs.sketch import Sketches
from engram.inputs.vectors import as_covariance, check_varies
from engram.learner import DamagedError, FloatArray, InputError
from engram.progress import Progress

STEP = 2.0**-12
"""Quantisation step for features of unit length."""

STEPS = 2**13
"""A head tells this many steps apart on either side of the mean."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A backbone, the statistics of its features, and how they are quantised.

    Attributes:
        backbone: inputs -> (N, D) float32.
        mean: m0, (D,) float64, in units of the (normalised) feature; zeros if never measured.
        covariance: S0, (D, D) float64, pooled within classes, or None if never measured with labels.
        step: what a head divides features by before it rounds them.
        normalise: whether features are brought to unit length first.
        freedom: how many examples less classes S0 was measured on, or None where nothing says it.
        measured: (N, 8) uint8 sketches of those examples, or None: S0 must not judge the examples it was measured on.
        scaled: whether these are raw readings that a head asks in units of their own deviations. Bundles of earlier
            versions are not: their brains answer as they did.
        targets: what the numbers are that are taught with the features; None where labels are.
        multilabel: whether an input may have several labels.
        fingerprint: SHA-256 over the backbone's fingerprint (network, cut, preprocessing), m0, S0, on what S0 was
            measured, step, normalisation and targets. Brains meld exactly when these agree.

    >>> from engram.features.backbones.vectors import VectorBackbone
    >>> bundle = Bundle.of_vectors(3, largest=8)
    >>> bundle.step == 2**-10, bundle.width, bundle.normalise
    (True, 3, False)
    """

    backbone: Backbone
    mean: FloatArray
    covariance: FloatArray | None = None
    step: float = STEP
    normalise: bool = True
    freedom: int | None = None
    measured: Sketches | None = None
    scaled: bool = False
    targets: Targets | None = None
    multilabel: bool = False

    def __post_init__(self) -> None:
        width = self.backbone.width
        mean = np.array(self.mean, np.float64, order="C")
        if self.covariance is not None:
            covariance = np.array(as_covariance(self.covariance, width), order="C")
            covariance.setflags(write=False)
            object.__setattr__(self, "covariance", covariance)
        if mean.shape != (width,) or not np.isfinite(mean).all():
            raise InputError(f"The statistics do not fit features of width {width}: measure them again.")
        if not 0 < self.step < float("inf"):
            raise InputError(f"step is a finite number above 0, not {self.step!r}.")
        if self.freedom is not None and (isinstance(self.freedom, bool) or not isinstance(self.freedom, int)):
            raise InputError(f"freedom is a whole number of examples, not {self.freedom!r}.")
        if self.measured is not None and (self.measured.dtype != np.uint8 or self.measured.shape[1:] != (8,)):
            raise InputError(f"measured are (N, 8) uint8 sketches, not {self.measured.dtype} {self.measured.shape}.")
        mean.setflags(write=False)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "step", float(self.step))

    @property
    def name(self) -> str:
        """What the backbone is called."""
        return self.backbone.name

    @property
    def width(self) -> int:
        """D, the width of a feature vector."""
        return self.backbone.width

    @property
    def row_width(self) -> int:
        """How many integers an example becomes: those of its features, and two for each number that is taught."""
        return self.width + (2 * self.targets.count if self.targets else 0)

    def with_targets(self, targets: Targets | None) -> Self:
        """The same for other numbers, or for labels (None)."""
        return self if targets == self.targets else replace(self, targets=targets)

    def with_sets(self, multilabel: bool) -> Self:
        """The same for inputs that may have several labels, or that have one."""
        return self if multilabel == self.multilabel else replace(self, multilabel=multilabel)

    @property
    def takes(self) -> Takes | None:
        """What its backbone works on; None where it does not say: it is given inputs as they are."""
        return getattr(self.backbone, "takes", None)

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of a map, where the backbone gives one instead of a feature of the whole input."""
        return getattr(self.backbone, "grid", None)

    @property
    def units(self) -> FloatArray | None:
        """(D,) what each feature is multiplied by to be in the unit that its reading came in; None where it is."""
        units: FloatArray | None = getattr(self.backbone, "units", None) if self.scaled else None
        return units

    @cached_property
    def largest_mean(self) -> float:
        """The largest absolute value of m0."""
        return float(np.abs(self.mean).max())

    def features(self, inputs: Any, progress: Progress | None = None) -> Features:
        """The backbone's features, (N, D) float32, not yet normalised."""
        return self.backbone.features(inputs, progress)

    @classmethod
    def bare(
        cls, backbone: Backbone, *, step: float = STEP, normalise: bool = True, scaled: bool | None = None
    ) -> Self:
        """A bundle that was never measured: mean zero, no covariance. `scaled`: None for raw readings alone."""
        readings = _readings(backbone, normalise) if scaled is None else scaled
        return cls(backbone, np.zeros(backbone.width), None, step, normalise, scaled=readings)

    @classmethod
    def of_vectors(cls, width: int, *, largest: float | Sequence[float] = 8.0) -> Self:
        """Raw vectors of this width with values to about ±`largest`; the finest power-of-two step for them.

        Args:
            largest: one number for all columns, or one for each. Larger readings are taken as well, up to a million
                times as large: the farther beyond, the more coarsely they are told apart.

        Raises:
            InputError: not one positive number, or not one for each column.

        >>> Bundle.of_vectors(2, largest=[1e-4, 1e6]).backbone.config()["scale"]
        [65536.0, 7.62939453125e-06]
        """
        from engram.features.backbones.vectors import VectorBackbone

        if isinstance(largest, int | float) and not isinstance(largest, bool):
            step = step_for(largest)
            return cls.bare(VectorBackbone(width, reach=step * STEPS), step=step, normalise=False)
        try:
            if isinstance(largest, bool):
                raise TypeError("neither number nor numbers")
            each = [step_for(float(value)) for value in largest]
        except (TypeError, ValueError) as error:
            raise InputError(f"largest is one number above 0, or one for each of the {width} columns, not "
                             f"{largest!r}.") from error
        if len(each) != width:
            raise InputError(f"largest holds {len(each)} numbers for {width} columns: give one for each, or a single "
                             "one for all.")
        step = step_for(8.0)
        return cls.bare(VectorBackbone(width, None, [step / own for own in each], reach=step * STEPS), step=step,
                        normalise=False)

    @classmethod
    def for_vectors(cls, examples: Any) -> Self:
        """Raw vectors like these (N, D): that of `of_vectors` where they fit it, else with columns scaled to fit."""
        from engram.features.backbones.vectors import VectorBackbone

        step = step_for(8.0)
        return cls.bare(VectorBackbone.ranged(examples, 8.0, step), step=step, normalise=False)

    @classmethod
    def measure(
        cls,
        backbone: Backbone,
        inputs: Iterable[Any],
        labels: Iterable[Any] | None,
        *,
        step: float | None = None,
        normalise: bool = True,
        chunk: int = 256,
        progress: Progress | None = None,
    ) -> Self:
        """The bundle of a backbone with m0 and S0 from examples, in one pass and bounded memory.

        Args:
            backbone: what gives the features.
            inputs: examples, as an array or any sequence or iterator of single inputs.
            labels: one per input; without them m0 is measured and S0 is None.
            step: None for 2^-12, or for raw vectors the finest power of two that covers these examples twice
                over.
            normalise: whether features are brought to unit length.
            chunk: how many inputs are held at once.
            progress: called with how many inputs are done.

        Raises:
            InputError: no inputs, as many labels as inputs are not there, no class has two examples, within classes
                nothing varies, or a step that suits the largest readings would round others away.
        """
        statistics = FeatureStatistics(backbone.width, normalise, labelled=labels is not None)
        statistics.add_all(backbone, inputs, labels, chunk, progress)
        if step is None:
            step = STEP if normalise else step_for(2 * statistics.reach())
            lost = statistics.lost(step) if _readings(backbone, normalise) else []
            if lost:
                raise InputError(f"Columns {lost[:8]} are so small beside the largest readings that one step for all, "
                                 f"{step:.3g}, would round them away. Give each column a scale of its own: "
                                 "Bundle.measure(VectorBackbone.ranged(inputs), inputs, ...).")
        return cls.of_statistics(backbone, statistics, step)

    @classmethod
    def of_statistics(cls, backbone: Backbone, statistics: FeatureStatistics, step: float = STEP) -> Self:
        """The bundle of a backbone whose features were measured. Raises InputError where nothing varies in a class."""
        covariance = statistics.covariance()
        if covariance is not None:
            check_varies(covariance)
        return cls(backbone, statistics.mean(), covariance, step, statistics.normalise, statistics.freedom,
                   statistics.measured(), _readings(backbone, statistics.normalise))

    def with_preprocessing(self, preprocessing: Preprocessing) -> Self:
        """The same network and statistics for other pictures (say, dark ink on paper): another fingerprint.

        Raises:
            InputError: the backbone has no preprocessing.
        """
        change = getattr(self.backbone, "with_preprocessing", None)
        if change is None:
            raise InputError(f"Backbone {self.name!r} does not take pictures.")
        return replace(self, backbone=change(preprocessing))

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the bundle as a folder: it appears complete or not at all.

        Raises:
            InputError: the folder exists (unless `overwrite`, and it holds a bundle), or cannot be written.
        """
        write_folder(Path(folder), self.files(), overwrite=overwrite)

    def files(self) -> dict[str, bytes]:
        """What `save` writes: the content of each file by its name.

        Raises:
            InputError: the backbone says neither its kind nor how it is restored.
        """
        if not isinstance(self.backbone, Stored):
            raise InputError(f"Backbone {self.name!r} cannot be saved: it needs kind, takes, network_file, config(), "
                             "network() and restore(), as engram.features.backbones.backbone.Stored has them.")
        record = {
            "name": self.name, "kind": self.backbone.kind, "takes": self.takes, "config": self.backbone.config(),
            "width": self.width, "step": self.step, "normalise": self.normalise, "fingerprint": self.fingerprint,
        }
        if self.freedom is not None:
            record["freedom"] = self.freedom
        if self.scaled:
            record["scaled"] = True
        if self.targets is not None:
            record["targets"] = self.targets.as_json()
        if self.multilabel:
            record["multilabel"] = True
        files = {"statistics.safetensors": statistics_to(self.mean, self.covariance, self.measured)}
        network = self.backbone.network()
        if network is not None and self.backbone.network_file is not None:
            files[self.backbone.network_file] = network
        return packed(record, files)

    @classmethod
    def open(cls, folder: str | os.PathLike[str], **parts: Any) -> Self:
        """The bundle in a folder, every byte verified before any of it is used.

        Args:
            folder: where `save` wrote it.
            parts: what the bundle itself cannot hold, such as `module=` for a PyTorch backbone.

        Raises:
            InputError: there is no such folder.
            DamagedError: truncated, altered, foreign, or written by a later version.
        """
        return cls._assembled(*read_folder(Path(folder)), **parts)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], **parts: Any) -> Self:
        """The bundle of which `files` gave the files. Raises DamagedError as `open` does."""
        return cls._assembled(*unpacked(files), **parts)

    @classmethod
    def _assembled(cls, record: dict[str, Any], files: dict[str, bytes], **parts: Any) -> Self:
        name, kind, config, step, normalise, fingerprint = parts_from(record)
        network = next((content for file, content in files.items() if file.startswith("network.")), None)
        backbone = kind.restore(name, config, network, **parts)
        try:
            mean, covariance, measured = statistics_from(files)
            targets = None if record.get("targets") is None else Targets.from_json(record["targets"])
            bundle = cls(backbone, mean, covariance, step, normalise, record.get("freedom"), measured,
                         record.get("scaled") is True, targets, record.get("multilabel") is True)
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"The parts of bundle {name!r} do not fit: {error}") from error
        if bundle.fingerprint != fingerprint:
            raise DamagedError(f"Bundle {name!r} is not the one that was saved: its fingerprint differs.")
        return bundle

    @classmethod
    def named(cls, name: str) -> Self:
        """A bundle by name: one of the user's, or one that comes with Engram.

        Raises:
            InputError: there is none of that name.
            DamagedError: see `open`.
        """
        return cls.open(folder_of(name))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that decides what a feature's quantised value means."""
        digest = hashlib.sha256(f"bundle 1 {self.backbone.fingerprint} {self.normalise} ".encode())
        digest.update(np.float64(self.step).astype("<f8").tobytes())
        for array in (self.mean, self.covariance):
            digest.update(b"none" if array is None else (array + 0.0).astype("<f8").tobytes())
        if self.freedom is not None:
            digest.update(f"freedom {self.freedom}".encode())
        if self.measured is not None:
            digest.update(b"measured " + self.measured.tobytes())
        if self.scaled:
            digest.update(b"scaled")
        if self.targets is not None:
            digest.update(f"targets {json.dumps(self.targets.as_json(), sort_keys=True)}".encode())
        if self.multilabel:
            digest.update(b"several labels")
        return digest.hexdigest()


def _readings(backbone: Backbone, normalise: bool) -> bool:
    """Whether the features are raw readings."""
    return not normalise and getattr(backbone, "kind", None) == "vectors"


def step_for(largest: float) -> float:
    """The finest power of two with which values to ±`largest` are `STEPS` steps or fewer.

    Raises:
        InputError: `largest` is not a positive number.

    >>> step_for(2.0) == 2**-12
    True
    """
    if not 0 < largest < float("inf"):
        raise InputError(f"The largest value must be finite and above 0, not {largest!r}.")
    return float(2.0 ** np.ceil(np.log2(largest / STEPS)))
