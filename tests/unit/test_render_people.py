"""What of the rendering of people needs no Blender: poses, framing, alpha, colour."""

from __future__ import annotations

import numpy as np
import pytest

from tools.people.colour import develop
from tools.people.poses import SIDES, Arm, Pose, draw_pose
from tools.people.views import LONG_SIDE, Frame, coverage, frame_person
from tools.render_people import generator


def test_a_pose_hangs_on_its_key_alone_and_only_turns_bones() -> None:
    once, again = (draw_pose(generator(1, "somebody", 0)) for _ in range(2))
    other = draw_pose(generator(1, "somebody", 1))
    assert all(np.array_equal(once.bones[name], again.bones[name]) for name in once.bones)
    assert not np.array_equal(once.bones["LeftArm"], other.bones["LeftArm"])
    for rotation in once.bones.values():
        assert np.allclose(rotation @ rotation.T, np.eye(3))


@pytest.mark.parametrize(("name", "side"), SIDES)
def test_an_arm_hangs_and_is_raised_as_asked(name: str, side: int) -> None:
    pose = Pose()
    for raised, forward, expected in (
        (0, 0, (0, 0, -1)), (90, 0, (side, 0, 0)), (90, 90, (0, -1, 0)), (180, 0, (0, 0, 1)),
    ):  # fmt: skip
        pose.arm(name, side, Arm(raised, forward, 0))
        assert np.allclose(pose.bones[f"{name}Arm"] @ [side, 0, 0], expected)
    pose.arm(name, side, Arm(0, 0, 90))  # elbows bend to the front
    forearm = pose.bones[f"{name}Arm"] @ pose.bones[f"{name}ForeArm"] @ [side, 0, 0]
    assert np.allclose(forearm, (0, -1, 0))


def test_a_whole_person_has_a_margin_and_a_cut_one_reaches_the_lower_edge() -> None:
    points = np.array([(-0.1, -0.5), (0.1, 0.5), (0.3, -0.4)])
    whole, cut = frame_person(points, 1.0), frame_person(points, 0.5)
    assert whole.bottom < -0.5
    assert whole.top > 0.5
    assert cut.bottom == pytest.approx(0.0)
    assert cut.right < 0.2  # the point at 0.3 is below the edge
    assert max(whole.size) == max(cut.size) == LONG_SIDE


def test_coverage_is_the_share_of_a_pixel() -> None:
    frame = Frame(0, 0, 1, 1)
    pixel = 1 / LONG_SIDE
    edge = 100.5 * pixel
    triangles = np.array([[(0, 0), (edge, 0), (edge, 1)], [(0, 0), (edge, 1), (0, 1)]])
    alpha = coverage(triangles, frame)
    assert alpha[200, :100].min() == 255
    assert alpha[200, 101:].max() == 0
    assert 100 <= alpha[200, 100] <= 190


def test_colour_is_straight_and_goes_on_outside() -> None:
    light = np.zeros((9, 9, 4), np.float32)
    light[:, :4] = (0.4, 0.2, 0.1, 1)
    light[:, 4] = (0.2, 0.1, 0.05, 0.5)
    alpha = (light[..., 3] * 255).astype(np.uint8)
    picture = develop(light, alpha, 4.0)
    assert np.array_equal(picture[..., 3], alpha)
    assert np.ptp(picture[..., :3].reshape(-1, 3), axis=0).max() == 0
