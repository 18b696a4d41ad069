"""Render rigged avatars in many poses and views: cut-out people whose alpha is exact.

    python -m venv BPY && BPY/bin/pip install bpy meshoptimizer opencv-python-headless
    BPY/bin/python tools/render_people.py AVATARS --panoramas DIR --out EXTRA/rendered

``AVATARS`` is a tree of .glb files with the skeleton of c-frame/valid-avatars-glb (MIT): bones
named Hips, Spine, LeftArm and so on, resting in a T with the palms down. ``DIR`` holds .hdr
panoramas that light them. Blender comes as the wheel ``bpy``, which is no dependency of the
project: give it an environment of its own. Of the compressed meshes only ``meshoptimizer`` knows.

    EXTRA/rendered/<avatar>-<take>.png    RGBA, 8 bits, straight colour; long side 448 px at most

Whoever is cut off is so by the lower edge alone; elsewhere there is a margin. Under alpha 0 lies
the colour of the nearest pixel of the person, so that scaling draws no dark fringe. A picture
hangs on the seed, the avatar's name and the take alone; a run that was cut off goes on where it
stopped. The trainer reads the folder as part of ``--extra``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Rng = np.random.Generator
Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

LONG_SIDE = 448
SAMPLES = 8
"""Paths a pixel; the denoiser does the rest. Colour only: alpha is drawn from the triangles."""
FINE = 6
"""Alpha is the mean of FINE x FINE points a pixel."""
NEAREST = 0.2
"""Metres before the camera within which nothing is looked at."""

ROUGHNESS = 0.75
"""Of skin and cloth; at the avatars' own 0.5 a suit shines like rubber."""
LIGHT_MAP = 256
"""Rows of the map by which rays are sent to a panorama's bright places."""

MARGIN = 0.04
"""Free border, of the person's longer extent: the sampler takes who has none for cut off."""

LUMA = np.array([0.2126, 0.7152, 0.0722])
DISPLAY_GAMMA = 2.2
WHITE = (1.5, 6.0)
"""Scene luminance that becomes white."""
DARKEST_MEDIAN = 0.02
"""Scene luminance below which the person's median is not let fall."""

MESHOPT = "EXT_meshopt_compression"
GLB_JSON, GLB_BIN = 0x4E4F534A, 0x004E4942

SIDES = (("Left", 1), ("Right", -1))
FINGERS = ("Index", "Middle", "Ring", "Pinky")


# --- poses: rotations in the axes of the resting T: x to the person's left, y to the back, z up


def turn(axis: tuple[float, float, float], degrees: float) -> Float64:
    """Right-handed rotation [3,3] about a unit axis."""
    return np.asarray(cv2.Rodrigues(np.array(axis) * np.radians(degrees))[0], np.float64)


def about_x(degrees: float) -> Float64:
    """Forwards for what points up, backwards for what points down."""
    return turn((1, 0, 0), degrees)


def about_y(degrees: float) -> Float64:
    """Up becomes left."""
    return turn((0, 1, 0), degrees)


def about_z(degrees: float) -> Float64:
    """Front becomes left, where the person turns."""
    return turn((0, 0, 1), degrees)


@dataclass(frozen=True)
class Arm:
    """How one arm is held; degrees, the same for left and right."""

    raised: float
    """Upper arm from hanging (0) to upright (180)."""
    forward: float
    """Where it is raised to: 0 sideways, 90 forwards, below 0 backwards."""
    elbow: float
    """0 straight to 145."""
    inward: float = 0.0
    """Turn of the upper arm; with a bent elbow above 0 brings the hand to the body's middle."""
    pronation: float = 0.0
    """0 palm as it hangs, 90 down when typing."""


@dataclass
class Pose:
    """Bone name -> rotation relative to the resting pose, carried along with the parent bone."""

    bones: dict[str, Float64] = field(default_factory=dict)

    def arm(self, name: str, side: int, arm: Arm) -> None:
        """Hold the arm ``name`` ("Left" or "Right", ``side`` 1 or -1)."""
        towards = np.radians(arm.forward)
        lift = turn((-np.sin(towards), -side * np.cos(towards), 0.0), arm.raised)
        self.bones[f"{name}Arm"] = lift @ about_y(90 * side) @ about_x(arm.inward)
        half = about_x(arm.pronation / 2)
        self.bones[f"{name}ForeArm"] = about_z(-side * arm.elbow) @ half
        self.bones[f"{name}Hand"] = half

    def leg(self, name: str, side: int, lift: float, knee: float, apart: float) -> None:
        """Thigh ``lift`` forwards, ``knee`` bent, thigh ``apart`` sideways; degrees."""
        self.bones[f"{name}UpLeg"] = about_y(-side * apart) @ about_x(-lift)
        self.bones[f"{name}Leg"] = about_x(knee)

    def torso(self, hips: float, spine: float, aside: float, twist: float) -> None:
        """Bend forwards at the hips and along the spine, lean ``aside``, ``twist``; degrees."""
        self.bones["Hips"] = about_x(hips)
        third = about_z(twist / 3) @ about_y(aside / 3) @ about_x(spine / 3)
        for bone in ("Spine", "Spine1", "Spine2"):
            self.bones[bone] = third


def relaxed(rng: Rng) -> Arm:
    """Hanging, more or less."""
    return Arm(rng.uniform(6, 24), rng.uniform(-10, 70), rng.uniform(4, 40), rng.uniform(0, 30))


def on_hip(rng: Rng) -> Arm:
    """A hand on the hip: a hole between arm and body."""
    return Arm(rng.uniform(38, 52), rng.uniform(-30, -5), rng.uniform(88, 108), rng.uniform(55, 75))


def waving(rng: Rng) -> Arm:
    """Hand up beside the head."""
    return Arm(
        rng.uniform(60, 105), rng.uniform(0, 40), rng.uniform(50, 115), rng.uniform(-95, -60)
    )


def upright(rng: Rng) -> Arm:
    """Arm stretched up."""
    return Arm(rng.uniform(130, 172), rng.uniform(0, 60), rng.uniform(5, 50), rng.uniform(-40, 20))


def calling(rng: Rng) -> Arm:
    """Hand at the ear."""
    forward = rng.uniform(22, 75)  # the further forwards the elbow, the less it turns out
    return Arm(rng.uniform(84, 98), forward, rng.uniform(131, 137), 1.1 * forward - 74)


def reaching(rng: Rng) -> Arm:
    """Pointing or holding something out."""
    return Arm(rng.uniform(50, 100), rng.uniform(40, 100), rng.uniform(0, 45), rng.uniform(-20, 20))


def stretched(rng: Rng) -> Arm:
    """Straight out, sideways or forwards: thin, and far from the body."""
    forward = rng.uniform(-10, 100)
    return Arm(rng.uniform(60, 110), forward, rng.uniform(0, 18), rng.uniform(-25, 25))


def typing(rng: Rng) -> Arm:
    """Forearms level, palms down."""
    return Arm(
        rng.uniform(12, 34), rng.uniform(70, 90), rng.uniform(62, 92), rng.uniform(5, 28),
        rng.uniform(50, 85),
    )  # fmt: skip


def crossed(rng: Rng) -> Arm:
    """One of two arms folded before the chest."""
    return Arm(
        rng.uniform(26, 36), rng.uniform(55, 75), rng.uniform(92, 106), rng.uniform(62, 76),
        rng.uniform(0, 30),
    )  # fmt: skip


PAIRED: tuple[Callable[[Rng], Arm], ...] = (typing, crossed, upright, on_hip, stretched)
SINGLE: tuple[Callable[[Rng], Arm], ...] = (
    relaxed, relaxed, relaxed, waving, upright, calling, reaching, stretched, stretched, on_hip,
)  # fmt: skip


def hold_arms(rng: Rng, pose: Pose) -> None:
    """Both arms alike at times, each by itself at others."""
    both = PAIRED[int(rng.integers(len(PAIRED)))] if rng.random() < 0.35 else None
    for name, side in SIDES:
        gesture = both or SINGLE[int(rng.integers(len(SINGLE)))]
        pose.arm(name, side, gesture(rng))


def standing(rng: Rng, pose: Pose) -> None:
    """Upright, legs closed or apart."""
    pose.torso(rng.uniform(-3, 6), rng.uniform(-6, 16), rng.normal(0, 5), rng.normal(0, 12))
    apart = rng.uniform(0, 14)
    for name, side in SIDES:
        knee = rng.uniform(0, 14)
        pose.leg(name, side, knee / 2 + rng.normal(0, 3), knee, apart + rng.normal(0, 1.5))
    hold_arms(rng, pose)


def walking(rng: Rng, pose: Pose) -> None:
    """In mid-stride, arms swinging against the legs or busy."""
    pose.torso(rng.uniform(0, 8), rng.uniform(0, 8), 0.0, rng.normal(0, 8))
    ahead, stride = int(rng.choice([-1, 1])), rng.uniform(14, 36)
    hold_arms(rng, pose)
    swinging = rng.random() < 0.6
    for name, side in SIDES:
        if side == ahead:
            pose.leg(name, side, stride, rng.uniform(3, 25), 2.0)
        else:
            pose.leg(name, side, -stride * rng.uniform(0.4, 0.8), rng.uniform(8, 55), 2.0)
        if swinging:
            swing = rng.uniform(12, 38)
            pose.arm(name, side, Arm(swing, 75 if side != ahead else -75, rng.uniform(10, 60)))


def bending(rng: Rng, pose: Pose) -> None:
    """Down to the ground or a table, arms hanging or reaching."""
    hips, spine, bent = rng.uniform(25, 75), rng.uniform(20, 55), rng.uniform(0, 55)
    pose.torso(hips, spine, rng.normal(0, 8), rng.normal(0, 12))
    for name, side in SIDES:
        knee = max(0.0, bent + rng.normal(0, 8))
        pose.leg(name, side, hips + knee / 2, knee, rng.uniform(2, 14))
        hang = max(15.0, hips + spine + rng.uniform(-30, 20))
        pose.arm(name, side, Arm(hang, rng.uniform(70, 95), rng.uniform(3, 45), 10.0))
    if rng.random() < 0.25:
        pose.arm("Left", 1, on_hip(rng))


def crouching(rng: Rng, pose: Pose) -> None:
    """On the heels, arms before the knees."""
    hips = rng.uniform(10, 35)
    pose.torso(hips, rng.uniform(10, 40), rng.normal(0, 6), rng.normal(0, 10))
    for name, side in SIDES:
        pose.leg(name, side, hips + rng.uniform(75, 105), rng.uniform(105, 135), rng.uniform(8, 26))
        pose.bones[f"{name}Foot"] = about_x(-rng.uniform(5, 25))
        pose.arm(name, side, Arm(rng.uniform(35, 75), rng.uniform(60, 90), rng.uniform(10, 70), 15))


def sitting(rng: Rng, pose: Pose) -> None:
    """On an unseen chair."""
    hips = rng.uniform(-12, 18)
    pose.torso(hips, rng.uniform(-4, 24), rng.normal(0, 5), rng.normal(0, 10))
    for name, side in SIDES:
        lift = hips + rng.uniform(74, 92)
        pose.leg(name, side, lift, rng.uniform(60, 105), rng.uniform(2, 20))
    hold_arms(rng, pose)
    if rng.random() < 0.4:  # hands on the thighs
        for name, side in SIDES:
            pose.arm(
                name,
                side,
                Arm(rng.uniform(14, 30), 80, rng.uniform(40, 62), rng.uniform(0, 25), 60),
            )


STANCES: tuple[tuple[Callable[[Rng, Pose], None], float], ...] = (
    (standing, 0.30), (walking, 0.20), (bending, 0.20), (crouching, 0.10), (sitting, 0.20),
)  # fmt: skip


def draw_pose(rng: Rng) -> Pose:
    """A whole body, down to the fingers."""
    pose = Pose()
    stance = int(rng.choice(len(STANCES), p=[share for _, share in STANCES]))
    STANCES[stance][0](rng, pose)
    look = about_z(rng.normal(0, 16)) @ about_x(rng.normal(3, 9)) @ about_y(rng.normal(0, 5))
    pose.bones["Neck"] = pose.bones["Head"] = look
    for name, side in SIDES:
        curl = rng.uniform(4, 42)
        for finger in FINGERS:
            for joint in "123":
                pose.bones[f"{name}Hand{finger}{joint}"] = about_y(side * curl)
    return pose


# --- the view


@dataclass(frozen=True)
class View:
    """Where the camera stands and how much it shows; degrees and metres."""

    yaw: float
    """0 before the person, 90 at their left."""
    pitch: float
    """Above 0 looks down."""
    distance: float
    shown: float
    """Visible part from the top of the picture of the person down, 0..1."""


def draw_view(rng: Rng) -> View:
    """Mostly from the front, at every height of a camera, from the head to the whole body."""
    front = rng.random() < 0.62
    yaw = float(np.clip(rng.normal(0, 30), -60, 60)) if front else rng.uniform(-180, 180)
    pitch = rng.triangular(-15, 5, 35)
    kind = rng.random()
    if kind < 0.55:
        return View(yaw, pitch, rng.uniform(2.4, 6), 1.0)
    if kind < 0.82:
        return View(yaw, pitch, rng.uniform(1.6, 3), rng.uniform(0.42, 0.75))
    return View(yaw, pitch, rng.uniform(1.1, 2), rng.uniform(0.22, 0.36))


@dataclass(frozen=True)
class Frame:
    """What the picture shows, in tangents of the view's angles: right and up are above 0."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), pixels."""
        width, height = self.right - self.left, self.top - self.bottom
        scale = LONG_SIDE / max(width, height)
        return max(round(width * scale), 16), max(round(height * scale), 16)


def frame_person(tangents: Float64, shown: float) -> Frame:
    """The visible part of projected points [N,2] with a margin, but for a cut lower edge."""
    top = float(tangents[:, 1].max())
    bottom = top - shown * (top - float(tangents[:, 1].min()))
    across = tangents[tangents[:, 1] >= bottom, 0]
    left, right = float(across.min()), float(across.max())
    rim = MARGIN * max(right - left, top - bottom)
    return Frame(left - rim, bottom - (rim if shown >= 1 else 0), right + rim, top + rim)


# --- files


def unpack(data: bytes) -> bytes:
    """A .glb with plain buffers in place of compressed ones, opaque, matt, without shape keys."""
    import meshoptimizer

    (length,) = struct.unpack_from("<I", data, 12)
    table = json.loads(data[20 : 20 + length])
    packed, plain = data[28 + length :], bytearray()
    for view in table["bufferViews"]:
        coded = view.get("extensions", {}).pop(MESHOPT, None)
        source = coded or view
        start = source.get("byteOffset", 0)
        piece = packed[start : start + source["byteLength"]]
        if coded is not None:
            piece = decode(meshoptimizer, coded, piece)
        plain += bytes(-len(plain) % 8)
        view |= {"buffer": 0, "byteOffset": len(plain), "byteLength": len(piece)}
        plain += piece
    plain += bytes(-len(plain) % 8)
    for mesh in table["meshes"]:
        mesh.pop("weights", None)
        mesh.pop("extras", None)
        for primitive in mesh["primitives"]:
            primitive.pop("targets", None)
    for material in table["materials"]:
        material.pop("alphaMode", None)  # hardly any asks for it, and coverage is of the opaque
        material["pbrMetallicRoughness"]["roughnessFactor"] = ROUGHNESS
    for key in ("extensionsUsed", "extensionsRequired"):
        table[key] = [name for name in table.get(key, []) if name != MESHOPT]
    table["buffers"] = [{"byteLength": len(plain)}]
    head = json.dumps(table).encode()
    head += b" " * (-len(head) % 4)
    total = 28 + len(head) + len(plain)
    start_of_file = struct.pack("<4sIIII", b"glTF", 2, total, len(head), GLB_JSON)
    return start_of_file + head + struct.pack("<II", len(plain), GLB_BIN) + bytes(plain)


def decode(meshoptimizer: Any, coded: dict[str, Any], piece: bytes) -> bytes:
    """One compressed buffer."""
    count, stride = coded["count"], coded["byteStride"]
    if coded["mode"] == "TRIANGLES":
        found = meshoptimizer.decode_index_buffer(count, stride, piece)
        return bytes(found.tobytes()[: count * stride])
    found = meshoptimizer.decode_vertex_buffer(count, stride, piece, np.dtype(f"V{stride}"))
    if coded.get("filter", "NONE") == "OCTAHEDRAL":
        found = meshoptimizer.decode_filter_oct(found, count, stride)
    elif coded.get("filter", "NONE") != "NONE":
        raise ValueError(f"got a buffer with filter {coded['filter']}, expected OCTAHEDRAL")
    return bytes(found.tobytes())


def coverage(triangles: Float64, frame: Frame) -> UInt8:
    """The share of each pixel [h,w] that projected, opaque triangles [N,3,2] cover, 0..255."""
    width, height = frame.size
    scale = FINE * width / (frame.right - frame.left)
    middle = ((frame.left + frame.right) / 2, (frame.bottom + frame.top) / 2)
    fine = (triangles - middle) * (scale, -scale) + (width * FINE / 2, height * FINE / 2) - 0.5
    canvas = np.zeros((height * FINE, width * FINE), np.uint8)
    for corners in np.rint(fine * 16).astype(np.int32):
        cv2.fillConvexPoly(canvas, corners, 255, shift=4)
    return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def develop(linear: Float32, alpha: UInt8, white: float) -> UInt8:
    """Premultiplied scene light [h,w,4] and alpha -> RGBA for display, colour carried outwards."""
    hit = linear[..., 3].clip(0, 1)
    colour = linear[..., :3].clip(0, None) / np.maximum(hit, 1e-3)[..., None]
    inside = hit > 0.5
    median = float(np.median(colour[inside] @ LUMA)) if inside.any() else 1.0
    colour *= max(1.0, DARKEST_MEDIAN / max(median, 1e-4))
    colour = colour * (1 + colour / white**2) / (1 + colour)
    shown = (colour.clip(0, 1) ** (1 / DISPLAY_GAMMA) * 255).round().astype(np.uint8)
    unsure = (hit < 0.3).astype(np.uint8)
    _, label = cv2.distanceTransformWithLabels(
        unsure, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    palette = np.zeros((int(label.max()) + 1, 3), np.uint8)
    palette[label[unsure == 0]] = shown[unsure == 0]
    return np.dstack([palette[label], alpha])


# --- Blender


def load_avatar(path: Path) -> Any:
    """Put one avatar in place of whatever the scene holds; returns its armature.

    The scene itself stays: to start Cycles and its denoiser anew takes longer than a picture.
    """
    import bpy

    bpy.data.batch_remove(list(bpy.data.objects))
    bpy.data.orphans_purge(do_recursive=True)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "avatar.glb"
        plain.write_bytes(unpack(path.read_bytes()))
        bpy.ops.import_scene.gltf(filepath=str(plain), disable_bone_shape=True)
    (armature,) = (o for o in bpy.data.objects if o.type == "ARMATURE")
    return armature


def empty_scene() -> Any:
    """Cycles on one thread, few samples, denoised, over nothing."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.film_transparent = True
    scene.render.use_persistent_data = True
    scene.cycles.device, scene.cycles.samples = "CPU", SAMPLES
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising, scene.cycles.denoiser = True, "OPENIMAGEDENOISE"
    scene.cycles.denoising_quality, scene.cycles.denoising_prefilter = "FAST", "NONE"
    scene.cycles.sample_clamp_direct, scene.cycles.sample_clamp_indirect = 20, 4
    scene.cycles.max_bounces, scene.cycles.diffuse_bounces = 2, 1
    scene.cycles.glossy_bounces = 1
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode = "RGBA"
    scene.view_settings.view_transform = "Raw"
    return scene


def rest_of(armature: Any) -> dict[str, tuple[Any, Any]]:
    """Bone name -> (its own transform, its rotation in the armature) as imported."""
    return {
        bone.name: (bone.matrix_basis.copy(), bone.matrix.to_3x3().normalized())
        for bone in armature.pose.bones
    }


def take_pose(armature: Any, rest: dict[str, tuple[Any, Any]], pose: Pose) -> None:
    """Turn every bone from its resting place."""
    import bpy
    from mathutils import Matrix

    for name, (basis, axes) in rest.items():
        asked = Matrix(pose.bones.get(name, np.eye(3)).tolist())
        armature.pose.bones[name].matrix_basis = basis @ (axes.inverted() @ asked @ axes).to_4x4()
    bpy.context.view_layer.update()


def surface(armature: Any) -> Float64:
    """The posed triangles of all meshes in the world, metres [N,3,3]."""
    import bpy

    graph = bpy.context.evaluated_depsgraph_get()
    found = []
    for part in armature.children:
        posed = part.evaluated_get(graph)
        mesh = posed.to_mesh()
        flat = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", flat)
        corners = np.empty(len(mesh.loop_triangles) * 3, np.int32)
        mesh.loop_triangles.foreach_get("vertices", corners)
        matrix = np.array(posed.matrix_world)
        placed = flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
        found.append(placed[corners].reshape(-1, 3, 3))
        posed.to_mesh_clear()
    return np.concatenate(found).astype(np.float64)


def aim(scene: Any, armature: Any, triangles: Float64, view: View) -> UInt8:
    """Put a camera that sees the person as ``view`` says; returns alpha at the picture's size."""
    import bpy
    from mathutils import Euler

    middle = (triangles.min((0, 1)) + triangles.max((0, 1))) / 2
    head = np.array(armature.matrix_world @ armature.pose.bones["Head"].head)
    aimed = head + (middle - head) * min(1.0, max(0.0, view.shown - 0.2))
    data = bpy.data.cameras.new("camera")
    camera = bpy.data.objects.new("camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    angles = Euler(np.radians([90 - view.pitch, 0, view.yaw]).tolist())
    axes = np.array(angles.to_matrix())
    place = aimed + axes[:, 2] * view.distance
    camera.rotation_euler, camera.location = angles, place.tolist()
    seen = (triangles - place) @ axes
    seen = seen[(seen[..., 2] < -NEAREST).all(1)]
    flat = seen[..., :2] / -seen[..., 2:]
    frame = frame_person(flat.reshape(-1, 2), view.shown)
    width = frame.right - frame.left
    data.sensor_fit, data.sensor_width, data.lens = "HORIZONTAL", 36.0, 36.0 / width
    data.shift_x = (frame.left + frame.right) / 2 / width
    data.shift_y = (frame.bottom + frame.top) / 2 / width
    data.clip_start = NEAREST
    scene.render.resolution_x, scene.render.resolution_y = frame.size
    return coverage(flat, frame)


def light(scene: Any, rng: Rng, panoramas: list[Path]) -> None:
    """A panorama or a plain sky, and often a lamp as well, coloured like candles to shade."""
    import bpy

    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    # To weigh a panorama's every pixel would take longer than the picture.
    world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", LIGHT_MAP
    nodes, links = world.node_tree.nodes, world.node_tree.links
    background = next(n for n in nodes if n.type == "BACKGROUND")
    strength = rng.uniform(0.45, 1.3)
    if panoramas and rng.random() < 0.8:
        image = bpy.data.images.load(str(panoramas[int(rng.integers(len(panoramas)))]))
        turned, place = nodes.new("ShaderNodeMapping"), nodes.new("ShaderNodeTexCoord")
        picture = nodes.new("ShaderNodeTexEnvironment")
        picture.image = image
        turned.inputs["Rotation"].default_value[2] = rng.uniform(0, 2 * np.pi)
        links.new(place.outputs["Generated"], turned.inputs["Vector"])
        links.new(turned.outputs["Vector"], picture.inputs["Vector"])
        links.new(picture.outputs["Color"], background.inputs["Color"])
        strength /= mean_light(image)
        lamp_share = 0.35
    else:
        strength *= rng.uniform(0.3, 1)
        background.inputs["Color"].default_value = (*tint(rng), 1)
        lamp_share = 1.0
    background.inputs["Strength"].default_value = strength
    if rng.random() < lamp_share:
        lamp = bpy.data.lights.new("lamp", "SUN")
        lamp.energy, lamp.angle = rng.uniform(0.5, 3.5), np.radians(rng.uniform(1, 40))
        lamp.color = tint(rng)
        shining = bpy.data.objects.new("lamp", lamp)
        shining.rotation_euler = (np.radians(rng.uniform(15, 80)), 0, rng.uniform(0, 2 * np.pi))
        scene.collection.objects.link(shining)


def tint(rng: Rng) -> tuple[float, float, float]:
    """Linear RGB of a light from warm to cool, green fixed at 1."""
    warm = rng.normal(0, 0.16)
    return float(np.exp(warm)), 1.0, float(np.exp(-warm))


def mean_light(image: Any) -> float:
    """Mean luminance over the sphere of an equirectangular picture."""
    width, height = image.size
    flat = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(flat)
    rows = (flat.reshape(height, width, 4)[..., :3] @ LUMA).mean(1)
    share = np.sin((np.arange(height) + 0.5) / height * np.pi)
    return max(float((rows * share).sum() / share.sum()), 1e-4)


def shoot(scene: Any) -> Float32:
    """Render: premultiplied scene light, top row first, [h,w,4]."""
    import bpy

    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder) / "shot.exr")
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        width, height = image.size
        flat = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(flat)
        bpy.data.images.remove(image)
    return np.ascontiguousarray(flat.reshape(height, width, 4)[::-1])


def generator(*key: object) -> Rng:
    """Randomness that hangs on the key alone."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def clear_stage(scene: Any) -> None:
    """Take camera, lamp and world of the last take away."""
    import bpy

    for thing in [o for o in scene.objects if o.type in {"CAMERA", "LIGHT"}]:
        bpy.data.objects.remove(thing)
    if scene.world is not None:
        bpy.data.worlds.remove(scene.world)
    bpy.data.orphans_purge(do_recursive=True)


def render_avatar(
    scene: Any, path: Path, targets: dict[int, Path], panoramas: list[Path], seed: int
) -> None:
    """Render the takes of one avatar: take number -> where its picture goes."""
    armature = load_avatar(path)
    rest = rest_of(armature)
    for take, target in targets.items():
        rng = generator(seed, path.stem, take)
        clear_stage(scene)
        take_pose(armature, rest, draw_pose(rng))
        alpha = aim(scene, armature, surface(armature), draw_view(rng))
        light(scene, rng, panoramas)
        picture = develop(shoot(scene), alpha, rng.uniform(*WHITE))
        unfinished = target.with_suffix(".part")
        unfinished.write_bytes(cv2.imencode(".png", picture[..., [2, 1, 0, 3]])[1].tobytes())
        unfinished.replace(target)


def main() -> None:
    """Parse the command line, render what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("avatars", type=Path, help="folder of .glb files, searched in depth")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--panoramas", type=Path, help="folder of .hdr files")
    parser.add_argument("--each", type=int, default=3, help="pictures of every avatar")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, default=0, help="avatars at most; 0 is all")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after this long")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    panoramas = sorted(args.panoramas.glob("*.hdr")) if args.panoramas else []
    # Not in the order of the names: a run that is cut off has seen every kind of person.
    avatars = sorted(args.avatars.rglob("*.glb"), key=lambda p: generator(p.stem).random())
    scene = empty_scene()
    deadline = time.monotonic() + args.minutes * 60
    for path in avatars[: args.limit or None]:
        targets = {take: args.out / f"{path.stem}-{take}.png" for take in range(args.each)}
        missing = {take: target for take, target in targets.items() if not target.exists()}
        if time.monotonic() > deadline:
            break
        if missing:
            render_avatar(scene, path, missing, panoramas, args.seed)


if __name__ == "__main__":
    main()
