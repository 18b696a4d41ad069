"""Every frame of an MP4 or MOV is shown by a player, whatever their number.

Fragments that begin between a P frame and the B frames shown before it make the muxer end the
edit list early; lengths just past such a border are where that shows.
"""

from __future__ import annotations

from pathlib import Path

import av
import pytest

import rvm


@pytest.mark.parametrize("count", [1, 2, 16, 17, 31, 33, 61, 92])
@pytest.mark.parametrize(("codec", "suffix"), [("x264", "mp4"), ("x264", "mov"), ("x265", "mp4")])
def test_a_player_shows_the_last_frame(tmp_path: Path, codec: str, suffix: str, count: int) -> None:
    out = tmp_path / f"out.{suffix}"
    source = f"synthetic:count={count},size=160x96,fps=30"
    report = rvm.convert(source, out, model="fake", background="none", codec=codec)
    assert report.frames_out == count
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        shown = [frame.time for frame in container.decode(stream)]
    assert len(shown) == count
    assert shown[-1] == pytest.approx((count - 1) / 30, abs=1e-4)
