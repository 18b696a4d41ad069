"""Blender's part: the scene, the posed avatar, camera, light and the shot."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tools.people.avatars import unpack
from tools.people.colour import LUMA
from tools.people.poses import Pose
from tools.people.views import View, coverage, frame_person

Rng = np.random.Generator
Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

SAMPLES = 8
"""Paths a pixel; the denoiser does the rest. Colour only: alpha is drawn from the triangles."""
NEAREST = 0.2
"""Metres before the camera within which nothing is looked at."""
LIGHT_MAP = 256
"""Rows of the map by which rays are sent to a panorama's bright places."""


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


def clear_stage(scene: Any) -> None:
    """Take camera, lamp and world of the last take away."""
    import bpy

    for thing in [o for o in scene.objects if o.type in {"CAMERA", "LIGHT"}]:
        bpy.data.objects.remove(thing)
    if scene.world is not None:
        bpy.data.worlds.remove(scene.world)
    bpy.data.orphans_purge(do_recursive=True)
