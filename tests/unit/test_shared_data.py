"""Lost test data may be skipped over by a person, never by CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared_data import shared_path


def test_the_folder_is_the_one_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").touch()
    monkeypatch.setenv("RVM_SHARED", str(tmp_path))
    assert shared_path("a.txt") == tmp_path / "a.txt"


def test_absence_skips_without_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_SHARED", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"a\.txt not found"):
        shared_path("a.txt")


def test_absence_fails_in_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_SHARED", str(tmp_path))
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match=r"a\.txt not found"):
        shared_path("a.txt")
