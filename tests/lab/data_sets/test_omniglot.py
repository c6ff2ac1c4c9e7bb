from collections import Counter

import numpy as np
import pytest

from engram.lab.data_sets.omniglot import omniglot
from engram.learner import DamagedError, InputError
from engram.locations import MissingDataError


@pytest.fixture(scope="module", params=["background", "evaluation"])
def part(request):
    try:
        return request.param, omniglot(request.param)
    except MissingDataError as missing:
        pytest.skip(str(missing))


def test_every_character_has_twenty_drawings(part):
    name, drawings = part
    characters, alphabets = {"background": (964, 30), "evaluation": (659, 20)}[name]
    counts = Counter(drawings.labels)
    assert len(counts) == characters
    assert set(counts.values()) == {20}
    assert len({label.split("/")[0] for label in counts}) == alphabets


def test_drawings_are_white_on_black(part):
    _, drawings = part
    images = drawings.images([0, len(drawings) - 1])
    assert images.shape == (2, 105, 105)
    assert set(np.unique(images)) == {0, 255}
    assert images.mean() < 64
    assert (images[0] == drawings[0]).all()


def test_an_unknown_part_is_refused_by_name():
    with pytest.raises(InputError, match="foreground"):
        omniglot("foreground")


def test_a_truncated_archive_is_refused(tmp_path, monkeypatch):
    (tmp_path / "omniglot").mkdir()
    for part in ("background", "evaluation"):
        (tmp_path / "omniglot" / f"images_{part}.zip").write_bytes(b"PK\x03\x04 and then nothing")
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path))
    with pytest.raises(DamagedError, match=r"images_evaluation\.zip"):
        omniglot("evaluation")
