"""A bundle travels as a folder, and what opens is what was saved or nothing."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save
from sklearn.covariance import empirical_covariance
from small_network import small_network

from engram import Brain
from engram.features.backbones import bundle_folder
from engram.features.backbones.bundle import Bundle
from engram.features.backbones.onnx import OnnxBackbone
from engram.features.backbones.preprocessing import DIGITS
from engram.features.backbones.vectors import VectorBackbone
from engram.heads.fast import FastHead
from engram.learner import DamagedError, InputError, LabelError

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(300, 5)) + 3
LABELS = RNG.integers(0, 4, 300)
PICTURES = RNG.integers(0, 17, (20, 8, 8)).astype(np.float64)


@pytest.fixture
def bundle() -> Bundle:
    backbone = OnnxBackbone(small_network(), DIGITS, cut="pooled", name="small")
    return Bundle.measure(backbone, PICTURES, [0, 1, 2, 3] * 5)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_statistics_are_those_of_a_plain_computation(normalise: bool, chunk: int) -> None:
    measured = Bundle.measure(VectorBackbone(5), ROWS, LABELS, normalise=normalise, chunk=chunk)
    vectors = ROWS.astype(np.float32).astype(np.float64)
    if normalise:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    counts = np.bincount(LABELS)
    within = sum(empirical_covariance(vectors[c == LABELS]) * n for c, n in enumerate(counts)) / (300 - 4)
    assert np.allclose(measured.mean, vectors.mean(axis=0), atol=1e-12)
    assert np.allclose(measured.covariance, within, rtol=1e-10, atol=1e-14)


def test_a_mean_far_from_zero_costs_no_precision() -> None:
    near = Bundle.measure(VectorBackbone(2), (grid := RNG.integers(-8, 9, (200, 2))), LABELS[:200], normalise=False)
    far = Bundle.measure(VectorBackbone(2), grid + 2.0**20, LABELS[:200], normalise=False)
    assert near.covariance is not None
    assert far.covariance is not None
    assert np.allclose(near.covariance, far.covariance, rtol=1e-12)


def test_examples_may_stream_by_and_classes_of_one_add_nothing() -> None:
    streamed = Bundle.measure(VectorBackbone(5), iter(ROWS), iter(LABELS.tolist()), chunk=50)
    assert streamed.fingerprint == Bundle.measure(VectorBackbone(5), ROWS, LABELS, chunk=50).fingerprint
    alone = Bundle.measure(VectorBackbone(5), [*ROWS, ROWS[0]], [*LABELS.tolist(), 99])
    assert np.allclose(alone.covariance, streamed.covariance, atol=1e-15)


def test_without_labels_there_is_a_mean_and_no_covariance() -> None:
    measured = Bundle.measure(VectorBackbone(5), ROWS, None)
    assert measured.covariance is None
    assert np.allclose(measured.mean, Bundle.measure(VectorBackbone(5), ROWS, LABELS).mean)


def test_what_cannot_be_measured_is_refused() -> None:
    for inputs, labels in (([], []), (ROWS, LABELS[:-1]), (ROWS[:-1], LABELS), (ROWS[:3], [1, 2, 3])):
        with pytest.raises(InputError):
            Bundle.measure(VectorBackbone(5), inputs, labels)
    with pytest.raises(InputError, match="zeros"):
        Bundle.measure(VectorBackbone(5), np.zeros((4, 5)), [0, 0, 1, 1])
    with pytest.raises(LabelError):
        Bundle.measure(VectorBackbone(5), ROWS[:2], [1, "b"])


def test_columns_that_one_step_would_round_away_are_refused_and_measured_where_each_has_a_scale() -> None:
    rng = np.random.default_rng(0)
    states = ["idle"] * 30 + ["busy"] * 30
    middles = np.repeat([[1e-4, 1.0, 1e6], [2e-4, 1.5, 1.2e6]], 30, axis=0)
    recorded = middles * rng.normal(1.0, 0.05, middles.shape)
    with pytest.raises(InputError, match=r"Columns \[0, 1\].*VectorBackbone.ranged"):
        Bundle.measure(VectorBackbone(3), recorded, states, normalise=False)
    brain = Brain(Bundle.measure(VectorBackbone.ranged(recorded), recorded, states, normalise=False))
    brain.learn(recorded, states)
    assert brain.info()["zero_columns"] == []
    assert brain.predict([[5e-2, 1.0, 1e6], [1e-4, 80.0, 1e6], [1e-4, 1.0, 1e6]]).labels == [None, None, "idle"]


def test_a_saved_bundle_opens_as_the_same(bundle: Bundle, tmp_path: Path) -> None:
    for name, each in {"measured": bundle, "bare": Bundle.bare(bundle.backbone), "raw": Bundle.of_vectors(3)}.items():
        each.save(tmp_path / name)
        again = Bundle.open(tmp_path / name)
        assert (again.fingerprint, again.name, again.width) == (each.fingerprint, each.name, each.width)
        assert (again.step, again.normalise) == (each.step, each.normalise)
        assert again.mean.tobytes() == each.mean.tobytes()
        assert (again.covariance is None) == (each.covariance is None)
        examples = PICTURES if each.width == 4 else ROWS[:, :3]
        assert np.array_equal(again.features(examples), each.features(examples))


def test_its_files_at_hand_make_it_again_and_damaged_ones_do_not(bundle: Bundle) -> None:
    files = bundle.files()
    assert Bundle.from_files(files).fingerprint == bundle.fingerprint
    for name, content in files.items():
        with pytest.raises(DamagedError):
            Bundle.from_files({**files, name: content[:-9]})
        with pytest.raises(DamagedError):
            Bundle.from_files({other: c for other, c in files.items() if other != name})


def test_the_fingerprint_changes_with_everything_it_covers_and_with_nothing_else(bundle: Bundle) -> None:
    mean, covariance = bundle.mean.copy(), bundle.covariance.copy()
    mean[1] = np.nextafter(mean[1], 1)
    covariance[2, 2] = np.nextafter(covariance[2, 2], 1)
    others = [
        replace(bundle, mean=mean), replace(bundle, covariance=covariance), replace(bundle, covariance=None),
        replace(bundle, step=2**-11), replace(bundle, normalise=False),
        replace(bundle, backbone=OnnxBackbone(small_network(1), DIGITS, cut="pooled")),
        replace(bundle, backbone=OnnxBackbone(small_network(), DIGITS, cut="averages")),
        bundle.with_preprocessing(replace(DIGITS, ink="inverted")),
    ]
    same = [
        bundle, replace(bundle, backbone=OnnxBackbone(small_network(), DIGITS, cut="pooled", name="renamed", batch=7)),
        replace(bundle, mean=bundle.mean.tolist(), covariance=np.asfortranarray(bundle.covariance)),
    ]
    assert len({b.fingerprint for b in same}) == 1
    assert len({b.fingerprint for b in [bundle, *others]}) == 1 + len(others)


def test_statistics_cannot_be_changed_behind_the_fingerprint(bundle: Bundle) -> None:
    for array in (bundle.mean, bundle.covariance):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    source = np.zeros(5)
    kept = Bundle(VectorBackbone(5), source)
    source[0] = 7
    assert kept.mean[0] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean": np.zeros(3)}, {"mean": np.full(4, np.nan)}, {"covariance": np.zeros((3, 3))},
        {"covariance": np.triu(np.ones((4, 4)))}, {"covariance": np.full((4, 4), np.inf)},
        {"step": 0.0}, {"step": -1.0}, {"step": np.inf}, {"step": np.nan},
    ],
    ids=str,
)
def test_statistics_that_do_not_fit_are_refused(bundle: Bundle, wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        replace(bundle, **wrong)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_altered_or_truncated_file_is_damage(
    bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz") / "b"
    bundle.save(folder)
    path = folder / data.draw(st.sampled_from(["bundle.json", "network.onnx", "statistics.safetensors"]))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        opened = Bundle.open(folder)
    except DamagedError:
        return
    # White space in the record may differ, and nothing else.
    assert path.name == "bundle.json"
    assert bytes(content).split() == json.dumps(json.loads(content), indent=2, sort_keys=True).encode().split()
    assert (opened.fingerprint, opened.name) == (bundle.fingerprint, bundle.name)


def test_even_changes_that_leave_every_feature_alone_are_damage(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    record = (tmp_path / "b/bundle.json").read_text()
    (tmp_path / "b/bundle.json").write_text(record.replace('"small"', '"other"'))
    with pytest.raises(DamagedError, match="altered"):
        Bundle.open(tmp_path / "b")
    (tmp_path / "b/bundle.json").write_text(record)
    commented = save({"mean": bundle.mean, "covariance": bundle.covariance}, {"comment": "mine"})
    (tmp_path / "b/statistics.safetensors").write_bytes(commented)
    with pytest.raises(DamagedError, match="altered"):
        Bundle.open(tmp_path / "b")


def test_files_swapped_between_valid_bundles_are_damage(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "a")
    replace(bundle, mean=bundle.mean + 1).save(tmp_path / "b")
    for name in ("bundle.json", "statistics.safetensors"):
        mine = (tmp_path / "a" / name).read_bytes()
        (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
        with pytest.raises(DamagedError):
            Bundle.open(tmp_path / "a")
        (tmp_path / "a" / name).write_bytes(mine)
    assert Bundle.open(tmp_path / "a").fingerprint == bundle.fingerprint


def rewritten(folder: Path, **changes: object) -> None:
    """Change the record and make its own checksum right again, as a forger or a later version would."""
    path = folder / "bundle.json"
    record = {**json.loads(path.read_text()), **changes}
    record.pop("sha256")
    record["sha256"] = bundle_folder._sha256(bundle_folder._canonical(record))
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "later version"), ({"format": "1"}, "not the record"), ({"format": None}, "not the record"),
        ({"kind": "telepathy"}, "does not know"), ({"step": 2**-11}, "fingerprint"), ({"normalise": 1}, "another type"),
        ({"normalise": False}, "fingerprint"), ({"config": []}, "another type"), ({"config": {}}, "cannot be used"),
        ({"files": {"../../etc/passwd": "0"}}, "not the record"), ({"files": {}}, "no nodes"),
        ({"fingerprint": "0" * 64}, "fingerprint"), ({"step": None}, "does not know"),
    ],
    ids=str,
)
def test_records_that_do_not_describe_this_bundle_are_damage(
    bundle: Bundle, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    bundle.save(tmp_path / "b")
    rewritten(tmp_path / "b", **changes)
    with pytest.raises(DamagedError, match=says):
        Bundle.open(tmp_path / "b")


@pytest.mark.parametrize(
    "arrays",
    [
        {}, {"mean": np.zeros(4, np.float32)}, {"mean": np.zeros(3)}, {"mean": np.full(4, np.nan)},
        {"mean": np.zeros(4), "covariance": np.zeros((4, 3))},
    ],
    ids=str,
)
def test_statistics_of_another_form_are_damage(bundle: Bundle, tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    bundle.save(tmp_path / "b")
    content = save(arrays)
    (tmp_path / "b/statistics.safetensors").write_bytes(content)
    files = json.loads((tmp_path / "b/bundle.json").read_text())["files"]
    rewritten(tmp_path / "b", files={**files, "statistics.safetensors": bundle_folder._sha256(content)})
    with pytest.raises(DamagedError):
        Bundle.open(tmp_path / "b")


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "3", '{"a": ' * 5000, "\x00\xff", '{"format": NaN}'])
def test_a_record_that_is_something_else_is_damage(bundle: Bundle, tmp_path: Path, content: str) -> None:
    bundle.save(tmp_path / "b")
    (tmp_path / "b/bundle.json").write_text(content)
    with pytest.raises(DamagedError):
        Bundle.open(tmp_path / "b")


def test_a_missing_file_is_damage_and_a_missing_bundle_is_said(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    (tmp_path / "b/network.onnx").unlink()
    with pytest.raises(DamagedError, match=r"lacks network\.onnx"):
        Bundle.open(tmp_path / "b")
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError, match="No bundle"):
            Bundle.open(folder)


def test_an_existing_folder_is_replaced_only_when_asked_and_only_if_it_is_a_bundle(
    bundle: Bundle, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    bundle.save(folder)
    other = replace(bundle, step=2**-10)
    with pytest.raises(InputError, match="exists"):
        other.save(folder)
    assert Bundle.open(folder).step == bundle.step
    other.save(folder, overwrite=True)
    assert Bundle.open(folder).step == other.step
    (tmp_path / "diary").mkdir()
    with pytest.raises(InputError, match="exists"):
        other.save(tmp_path / "diary", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "diary"]


@pytest.mark.parametrize(
    "fails_at", ["engram.features.backbones.bundle_folder.write_atomically", "engram.files._exchange"]
)
def test_a_save_that_fails_leaves_what_was_there_and_nothing_else(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    bundle.save(tmp_path / "b")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fails_at, full)
    with pytest.raises(InputError, match="No space left"):
        replace(bundle, step=2**-10).save(tmp_path / "b", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["b"]
    assert Bundle.open(tmp_path / "b").fingerprint == bundle.fingerprint


@pytest.mark.skipif(os.name != "posix", reason="devices are those of POSIX")
def test_devices_in_a_folder_are_not_read(bundle: Bundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "b")
    for file in (tmp_path / "b").iterdir():
        content = file.read_bytes()
        file.unlink()
        file.symlink_to("/dev/zero")
        with pytest.raises((DamagedError, InputError)):
            Bundle.open(tmp_path / "b")
        file.unlink()
        file.write_bytes(content)
    Bundle.open(tmp_path / "b")


def test_a_covariance_that_rounding_left_asymmetric_is_taken_and_a_zero_one_explained() -> None:
    exact = np.array([[1.0, 0.3], [0.3, 1.0]])
    rounded = np.array([[1.0, 0.3 + 1e-12], [0.3, 1.0]])
    bundle = Bundle(VectorBackbone(2), np.zeros(2), rounded)
    assert (bundle.covariance == bundle.covariance.T).all()
    assert Bundle(VectorBackbone(2), np.zeros(2), exact).covariance.tobytes() == exact.tobytes()
    assert FastHead(covariance=rounded).width == 2
    with pytest.raises(InputError, match="symmetric; this one holds"):
        Bundle(VectorBackbone(2), np.zeros(2), np.array([[1.0, 0.4], [0.3, 1.0]]))
    for zero in (
        lambda: FastHead(covariance=np.zeros((2, 2))),
        lambda: Bundle.measure(VectorBackbone(2), np.ones((4, 2)), ["a", "a", "b", "b"], normalise=False),
    ):
        with pytest.raises(InputError, match="covariance is zero: within each class"):
            zero()
