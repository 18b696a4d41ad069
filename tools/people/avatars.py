"""Avatars' files, whose buffers are compressed in a way that Blender does not know."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

ROUGHNESS = 0.75
"""Of skin and cloth; at the avatars' own 0.5 a suit shines like rubber."""

MESHOPT = "EXT_meshopt_compression"
GLB_JSON, GLB_BIN = 0x4E4F534A, 0x004E4942


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
