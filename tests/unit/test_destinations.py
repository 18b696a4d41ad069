"""Where each input goes: files as named, folders filled with files named after the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rvm.cli.context import ConvertContext, convert_context
from rvm.config import ConvertSettings
from rvm.errors import UsageError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("shots", "there"):
        (tmp_path / name).mkdir()
    for name in ("photo.jpg", "scan.bmp", "bg.mp4", "shots/a.png", "there/photo.png", "my.toml"):
        (tmp_path / name).write_bytes(b"mine")


def context(
    inputs: Sequence[str], output: str | None = None, matte: str | None = None,
    foreground: str | None = None, configs: Sequence[Path] = (), **settings: Any,
) -> ConvertContext:  # fmt: skip
    return convert_context(inputs, output, matte, foreground, ConvertSettings(**settings), configs)


def written(*arguments: Any, **settings: Any) -> list[tuple[str, ...]]:
    return [job.outputs for job in context(*arguments, **settings).jobs]


@pytest.mark.parametrize("more", [[], ["walk.mov"]])
@pytest.mark.parametrize("folder", ["new/", "there", "there/"])
def test_one_input_goes_where_it_would_go_among_several(folder: str, more: list[str]) -> None:
    for one, name in (("clips/talk.mov", "talk.mp4"), ("photo.jpg", "photo.jpg"),
                      ("scan.bmp", "scan.png")):  # fmt: skip
        assert written([one, *more], folder)[0] == (str(Path(folder) / name),)


def test_each_layer_in_a_folder_has_a_suffix_that_holds_it() -> None:
    assert written(["talk.mp4"], "a/", "m/", "f/") == [("a/talk.mp4", "m/talk.mkv", "f/talk.mp4")]
    assert written(["photo.jpg"], "a/", "m/", "f/") == [
        ("a/photo.jpg", "m/photo.png", "f/photo.jpg")
    ]
    transparent = {"background": "Transparent"}
    assert written(["talk.mp4"], "a/", **transparent) == [("a/talk.mov",)]
    assert written(["photo.jpg"], "a/", **transparent) == [("a/photo.png",)]
    assert written(["photo.jpg"], "a/", duration_seconds=2.0) == [("a/photo.mp4",)]


def test_a_sequence_stays_one() -> None:
    assert written(["shots"], "new/") == written(["s/f_%04d.png"], "new/") == [("new/",)]
    both = written(["shots/", "s/f_%04d.png", "s/%d.png", "talk.mp4"], "new")
    assert both == [("new/shots/",), ("new/f/",), ("new/s/",), ("new/talk.mp4",)]


def test_a_file_or_a_numbered_name_is_taken_as_it_is() -> None:
    assert written(["talk.mp4"], "x.mp4", "%06d.png") == [("x.mp4", "%06d.png")]
    assert context(["talk.mp4"], "x.mp4").jobs[0].folders == ()
    assert context(["talk.mp4"], "new/").jobs[0].folders == (Path("new"),)


@pytest.mark.parametrize(
    ("output", "instead"), [("multi.mp4", "multi/"), ("out/%06d.png", "out/"), ("x.avi", "x/")]
)
def test_one_file_for_several_inputs_is_refused(output: str, instead: str) -> None:
    with pytest.raises(UsageError, match=f"is for one input, but there are 2; .*: {instead}$"):
        context(["a.mp4", "b.mp4"], output)
    with pytest.raises(UsageError, match="is for one input"):
        context(["a.mp4", "b.mp4"], None, output)


def test_what_is_read_is_never_an_output() -> None:
    for layer in ("output", "matte", "foreground"):
        for background in ("bg.mp4", "video:bg.mp4"):
            outputs: dict[str, Any] = {layer: "./bg.mp4"}
            with pytest.raises(UsageError, match=r"bg\.mp4 is the background"):
                context(["talk.mp4"], **outputs, background=background)
    with pytest.raises(UsageError, match=r"my\.toml is the configuration"):
        context(["talk.mp4"], "my.toml", configs=[Path("my.toml")])
    with pytest.raises(UsageError, match=r"photo\.png is an input"):
        context(["there/photo.png"], "there/")
    with pytest.raises(UsageError, match=r"photo\.png is an input"):
        context(["photo.bmp", "there"], "there/")
    with pytest.raises(UsageError, match=r"shots/ is an input"):
        context(["shots"], "shots/")
    assert written(["there"], "there/x.mp4") == [("there/x.mp4",)]


def test_two_results_never_have_one_name() -> None:
    with pytest.raises(UsageError, match=r"two results would be written to out/a\.mp4"):
        context(["a.mov", "b/a.mp4"], "out/")
    with pytest.raises(UsageError, match="two results"):
        context(["a.mov"], "out/", None, "out/")
