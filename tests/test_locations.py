import pytest

from engram.learner import EngramError
from engram.locations import MissingDataError, locate


def test_the_folder_that_engram_data_names_is_searched_before_the_cache(tmp_path, monkeypatch):
    for root in ("named", "home/.cache/engram"):
        (tmp_path / root / "shapes").mkdir(parents=True)
        (tmp_path / root / "shapes" / "a").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path / "named"))
    assert locate("shapes", "a", how="draw them") == tmp_path / "named" / "shapes"
    monkeypatch.delenv("ENGRAM_DATA")
    assert locate("shapes", "a", how="draw them") == tmp_path / "home/.cache/engram/shapes"


def test_an_incomplete_folder_does_not_hide_a_complete_one(tmp_path, monkeypatch):
    (tmp_path / "named" / "shapes").mkdir(parents=True)
    (tmp_path / "home/.cache/engram/shapes").mkdir(parents=True)
    (tmp_path / "home/.cache/engram/shapes/a").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path / "named"))
    assert locate("shapes", "a", how="draw them") == tmp_path / "home/.cache/engram/shapes"


def test_missing_data_says_where_it_looked_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ENGRAM_DATA", str(tmp_path))
    with pytest.raises(MissingDataError, match="draw them") as caught:
        locate("shapes", "a", how="draw them")
    assert str(tmp_path / "shapes") in str(caught.value)
    assert "ENGRAM_DATA" in str(caught.value)
    assert isinstance(caught.value, EngramError)
