"""Entries of our own models: pinned, replaced in place, nothing else touched."""

from __future__ import annotations

import tomllib
from pathlib import Path

from rvm.network.manifest_entry import entry, put_entries

OLD = """# A comment.

[models.ours]
file = "ours.onnx"
bytes = 1
default = true

# Another.

[models."other.zip"]
file = "other.zip"
"""


def test_an_entry_replaces_its_own_table_and_nothing_else(tmp_path: Path) -> None:
    manifest, model = tmp_path / "manifest.toml", tmp_path / "ours.onnx"
    manifest.write_text(OLD)
    model.write_bytes(b"abc")
    ours = entry("ours", model, "rvm-compact-core", 288, description="d", default=True)
    int8 = entry("ours_int8", model, "rvm", 288, description="e", precision="int8")
    put_entries(manifest, {"ours": ours, "ours_int8": int8})
    text = manifest.read_text()
    models = tomllib.loads(text)["models"]
    assert list(models) == ["ours", "other.zip", "ours_int8"]
    assert models["ours"]["bytes"] == 3
    assert models["ours"]["default"] is True
    assert models["ours"]["sha256"].startswith("ba7816bf8f01cfea")  # FIPS 180-2, example of "abc"
    assert models["ours_int8"]["precision"] == "int8"
    assert models["other.zip"] == {"file": "other.zip"}
    assert text.index("# A comment.") < text.index("[models.ours]") < text.index("# Another.")


def test_where_people_are_far_outlives_the_weights(tmp_path: Path) -> None:
    manifest, model = tmp_path / "manifest.toml", tmp_path / "ours.onnx"
    manifest.write_text(
        OLD.replace(
            "bytes = 1\n", "far_share = 0.4\nmiddle_share = 0.5\nmirror_side = 9\nbytes = 1\n"
        )
    )
    model.write_bytes(b"abc")
    ours = entry("ours", model, "rvm-compact-core", 288, description="d")
    for _ in range(2):
        put_entries(manifest, {"ours": ours})
        models = tomllib.loads(manifest.read_text())["models"]
        assert (models["ours"]["far_share"], models["ours"]["middle_share"]) == (0.4, 0.5)
        assert models["ours"]["mirror_side"] == 9
        assert models["ours"]["bytes"] == 3
        assert "default" not in models["ours"]


def test_all_entries_of_a_file_are_pinned_anew(tmp_path: Path) -> None:
    manifest, model = tmp_path / "manifest.toml", tmp_path / "ours.onnx"
    manifest.write_text("")
    model.write_bytes(b"old")
    names = ("ours", "ours_large")
    put_entries(
        manifest, {n: entry(n, model, "rvm", 32 * k, description=n) for k, n in enumerate(names)}
    )
    model.write_bytes(b"abc")
    put_entries(manifest, {"ours": entry("ours", model, "rvm", 64, description="new")})
    models = tomllib.loads(manifest.read_text())["models"]
    assert models["ours_large"]["sha256"] == models["ours"]["sha256"]
    assert models["ours_large"]["sha256"].startswith("ba7816bf8f01cfea")
    assert models["ours_large"]["bytes"] == 3
    assert (models["ours_large"]["long_side"], models["ours_large"]["description"]) == (
        32, "ours_large",
    )  # fmt: skip
