"""Which pictures of people become teaching material."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tools.label_teacher import label_people


class Left:
    """Teacher and judge in one that see a person in the left part of every picture."""

    def __init__(self, share: float) -> None:
        self.share = share

    def reset(self) -> None:
        pass

    def label(self, rgb: Any, ratio: float) -> tuple[Any, Any]:
        return np.asarray(self.matte(rgb) * 255, np.uint8), rgb

    def matte(self, rgb: Any) -> Any:
        alpha = np.zeros(rgb.shape[:2], np.float32)
        alpha[:, : round(self.share * rgb.shape[1])] = 1
        return alpha


@pytest.mark.parametrize(("judged", "kept"), [(0.5, ["eve", "ann"]), (0.4, ["eve"])])
def test_only_where_a_matte_was_looked_at_no_judge_is_asked(
    tmp_path: Path, judged: float, kept: list[str]
) -> None:
    for folder, name in (("people", "ann"), ("checked", "eve")):
        (tmp_path / folder).mkdir()
        picture = np.full((60, 80, 3), 99, np.uint8)
        assert cv2.imwrite(str(tmp_path / folder / f"{name}.jpg"), picture)
    cache = tmp_path / "cache"
    teacher: Any = Left(0.5)
    label_people(teacher, Left(judged), tmp_path, cache)
    assert [path.name for path in sorted(cache.glob("*/*.alpha.npy"))] == [
        f"{name}.alpha.npy" for name in kept
    ]
    eve = np.load(cache / "checked/eve.alpha.npy")
    assert eve[:, :40].min() == 255
    assert not eve[:, 40:].any()
