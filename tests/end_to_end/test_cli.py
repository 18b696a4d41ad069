"""The command line from its arguments to its exit code, files, stdout and stderr."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rvm
from rvm.cli import main
from rvm.errors import ModelError, OutputError
from rvm.media.decode import VideoReader
from tests.cli_runs import Run, numbers
from tests.synth_clips import truncate, write_clip
from tests.synth_models import mask_model, rvm_model

# ── what works ───────────────────────────────────────────────────────────────────────────────


def test_convert_writes_every_frame_and_one_object(run: Run, talk: Path, tmp_path: Path) -> None:
    outcome = run("convert", talk, "-o", "out.mp4", "--model", "fake", "--background", "none",
                  "--json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert numbers(tmp_path / "out.mp4") == list(range(12))
    (report,) = outcome.objects
    assert report["frames_in"] == report["frames_out"] == 12
    assert report["dropped"] == 0
    assert (report["model"], report["engine"], report["device"]) == ("fake", "fake", "cpu")
    assert (report["input"], report["outputs"]) == (str(talk), ["out.mp4"])
    for name in ("seconds", "fps", "provider", "peak_rss_mb"):
        assert report[name]
    for name in ("grab", "matting", "compositing", "sink"):
        assert set(report["stages"][name]) == {"p50", "p95", "p99"}
    assert "fake by fake on cpu" in outcome.err
    assert "it was asked for" in outcome.err
    assert "\x1b" not in outcome.err


def test_only_a_matte_is_enough(run: Run, talk: Path, tmp_path: Path) -> None:
    assert run("convert", talk, "--matte", "m.mkv", "-m", "fake:shape=luma").code == 0
    assert numbers(tmp_path / "m.mkv") == list(range(12))


def test_part_of_a_clip_and_quiet(run: Run, talk: Path, tmp_path: Path) -> None:
    outcome = run("convert", talk, "-o", "out.mkv", "-m", "fake", "--background", "none",
                  "--start", "0.09", "--duration", "0.2", "-q", "--no-audio")  # fmt: skip
    assert outcome == (0, "", "")
    assert numbers(tmp_path / "out.mkv") == [3, 4, 5, 6, 7, 8]


def test_several_inputs_go_into_a_folder_and_one_that_fails_does_not_stop_the_rest(
    run: Run, talk: Path, tmp_path: Path
) -> None:
    write_clip(tmp_path / "walk.mov")
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    outcome = run("convert", talk, "bad.mp4", "walk.mov", "-o", "done", "-m", "fake", "--json")
    assert outcome.code == 1
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["talk.mp4", "walk.mp4"]
    assert "bad.mp4" in outcome.one_error()
    first, bad, last = outcome.objects
    assert first["frames_out"] == last["frames_out"] == 12
    assert (bad["input"], bad["exit_code"]) == ("bad.mp4", 3)
    assert (first["input"], last["input"]) == (str(talk), "walk.mov")
    assert "1 of 3 inputs failed" in outcome.err


def test_a_folder_gets_a_file_named_after_its_input_and_a_number_is_for_frames(
    run: Run, talk: Path, tmp_path: Path
) -> None:
    quick = ("-m", "fake", "--background", "none", "-q")
    assert run("convert", talk, "-o", "a/b/", "--dry-run", *quick).code == 0
    assert not (tmp_path / "a").exists()
    assert run("convert", talk, "-o", "a/b/", *quick).code == 0
    assert numbers(tmp_path / "a/b/talk.mp4") == list(range(12))
    assert run("convert", talk, "-o", "frames/%02d.png", *quick).code == 0
    assert len(list((tmp_path / "frames").iterdir())) == 12
    assert run("convert", "frames/%02d.png", "-o", "back.mp4", "--fps", "12", *quick).code == 0
    reader = VideoReader(tmp_path / "back.mp4")
    assert reader.info.frame_rate == 12
    reader.close()
    (tmp_path / "frames/00.png").rename(tmp_path / "frames/first.png")
    assert run("convert", "frames", "-o", "done/", *quick).code == 0
    assert {p.name for p in (tmp_path / "done").iterdir()} == {
        "first.png", *(f"{number:02}.png" for number in range(1, 12))
    }  # fmt: skip
    assert run("convert", "gone.mp4", "-o", "empty/", *quick).code == 3
    assert not (tmp_path / "empty").exists()


def test_python_does_not_write_over_the_background_either(talk: Path, tmp_path: Path) -> None:
    behind = tmp_path / "behind.mp4"
    write_clip(behind)
    before = behind.read_bytes()
    for layer in ("output", "matte", "foreground"):
        outputs: dict[str, Any] = {layer: behind}
        with pytest.raises(OutputError, match="this run reads that file"):
            rvm.convert(talk, **outputs, background=str(behind), model="fake", overwrite=True)
        with pytest.raises(OutputError, match="this run reads that file"):
            rvm.convert(behind, **outputs, model="fake", overwrite=True)
    with pytest.raises(OutputError, match="this run reads that file"):
        rvm.live(talk, to=behind, background=str(behind), model="fake", overwrite=True, seconds=1)
    assert behind.read_bytes() == before


def test_live_plays_a_clip_at_its_pace_and_counts(run: Run, talk: Path) -> None:
    outcome = run("live", "--camera", talk, "--to", "null", "-m", "fake", "--seconds", "0.5",
                  "--json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    (report,) = outcome.objects
    assert report["frames_in"] == report["frames_out"] + report["dropped"] > 0
    assert set(report["age_ms"]) == set(report["latency_ms"]) == {"p50", "p95", "p99"}


def test_progress_as_json_is_json_on_every_line(run: Run, talk: Path) -> None:
    outcome = run("convert", talk, "-o", "x.mp4", "-m", "fake:delay_ms=60", "--progress", "json")
    assert outcome.code == 0
    events = [json.loads(line) for line in outcome.err.splitlines()]
    assert [event["event"] for event in events[:2]] == ["start", "progress"]
    assert events[0]["frames_total"] == 12
    assert events[1]["frames_done"] >= 1
    assert "matting" in events[1]["stages"]


def test_with_json_progress_warnings_and_errors_are_events_too(
    run: Run, talk: Path, tmp_path: Path
) -> None:
    (tmp_path / "rvm.toml").write_text("crf = 'low'\n", encoding="utf-8")
    for arguments in (("-o", "x.mp4"), ("-o", "x.mp4", "--config", "nope"), ("--crf",), ("-o", "")):
        for progress in (("--progress", "json"), ("--progress=json",)):
            outcome = run("convert", talk, *progress, *arguments)
            assert outcome.code == 2
            (event,) = map(json.loads, outcome.err.splitlines())
            assert event["event"] == "error"
            assert event["text"]


def test_one_picture_is_announced_as_one(run: Run, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mkv", frames=1)
    assert run("convert", "clip.mkv", "-o", "p.png", "-m", "fake").code == 0
    outcome = run("convert", "p.png", "-o", "cut.png", "-m", "fake")
    assert "p.png: 160x96 rgb24, one picture" in outcome.err
    assert "a second, " not in outcome.err.splitlines()[0]


def test_print_config_shows_where_values_come_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rvm.toml").write_text('preset = "slow"\n', encoding="utf-8")
    monkeypatch.setenv("RVM_DEVICE", "cpu")
    outcome = run("convert", "--crf", "20", "--print-config", "--json")
    (values,) = outcome.objects
    assert values["crf"] == {"value": 20.0, "from": "--crf"}
    assert values["preset"] == {"value": "slow", "from": "rvm.toml"}
    assert values["device"] == {"value": "cpu", "from": "RVM_DEVICE"}
    assert values["background"]["from"] == "default"
    assert "crf = 20.0" in run("convert", "--crf", "20", "--print-config").out
    assert "[live]" in run("live", "--config", "call", "--print-config").out


def test_a_dry_run_checks_and_writes_nothing(run: Run, talk: Path, tmp_path: Path) -> None:
    outcome = run("convert", talk, "-o", "out.mp4", "-m", "fake", "--dry-run", "--json")
    assert outcome.code == 0
    assert outcome.objects[0]["outputs"] == ["out.mp4"]
    assert outcome.objects[0]["model"] == "fake"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk.mp4"]
    assert run("convert", talk, "-o", "no/out.mp4", "-m", "fake", "--dry-run").code == 6
    assert run("convert", talk, "-o", talk.with_name("t.mp4"), "-m", "nope", "--dry-run").code == 4


@pytest.mark.parametrize("seconds", ["0.2", "0:00.2"])
def test_the_demo_writes_a_film_and_a_still(run: Run, tmp_path: Path, seconds: str) -> None:
    pytest.importorskip("skimage")
    outcome = run("demo", "-m", "fake", "--seconds", seconds, "-o", "show", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.objects[0]["outputs"] == ["show/rvm-demo.mp4", "show/rvm-demo.png"]
    assert outcome.objects[0]["frames_out"] == 6
    assert run("demo", "-m", "fake", "-o", "show").code == 6


def test_the_demo_without_its_extra_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    outcome = run("demo", "-m", "fake")
    assert outcome.code == 2
    assert "pip install 'rvm-matting[demo]'" in outcome.one_error()


def test_devices_and_doctor_tell_in_words_and_in_json(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = run("devices", "--json").objects
    assert found["encoders"]["x264"] == ""
    assert found["compute"]["auto"]
    assert "Cameras" in run("devices").out

    def no_model(_: object) -> None:
        raise ModelError("no default model is installed")

    monkeypatch.setattr("rvm.matting.weights.find_model", no_model)
    outcome = run("doctor", "--json")
    assert outcome.code == 4
    states = {finding["what"]: finding["state"] for finding in outcome.objects[0]["findings"]}
    assert states["model"] == "failed"
    assert states["python"] == states["libraries"] == states["cache"] == "ok"
    assert "failed   model: no default model" in run("doctor").out


def test_bench_measures_stages_paths_rivals_and_live_use(
    run: Run, talk: Path, tmp_path: Path
) -> None:
    reference, selfie = tmp_path / "reference.onnx", tmp_path / "selfie.onnx"
    reference.write_bytes(rvm_model())
    selfie.write_bytes(mask_model(256, 256))
    rivals = ("--reference", reference, "--selfie", selfie)
    outcome = run("bench", talk, "-m", "fake", "--frames", "5", *rivals, "--json")
    assert outcome.code == 0, outcome.err
    (row,) = outcome.objects[0]["rows"]
    assert (row["width"], row["height"], row["frames"]) == (160, 96, 5)
    assert list(row["stages_ms"]) == ["decode", "network", "composite", "blur", "encode"]
    assert all(times["mean"] > 0 for times in row["stages_ms"].values())
    assert list(row["paths"]) == ["plain", "whole", "blurred", "reference", "selfie"]
    for name, path in row["paths"].items():
        assert path["fps"] > 0
        if name != "whole":
            assert row[f"times_{name}"] == round(row["paths"]["whole"]["fps"] / path["fps"], 3)
    assert row["live"] is None
    assert run("bench", "--sizes", "8k", "-m", "fake").code == 2


def test_bench_measures_live_use(run: Run, talk: Path) -> None:
    outcome = run("bench", talk, "-m", "fake", "--frames", "5", "--live-seconds", "0.2")
    assert outcome.code == 0, outcome.err
    for line in ("live fps, sustained", "after grab p99 ms", "first frame s", "peak memory MB"):
        assert line in outcome.out


def test_models(run: Run, tmp_path: Path) -> None:
    rows = run("models", "list", "--json").objects
    known = {row["name"]: row for row in rows}
    assert known["rvm_mobilenetv3_fp32"]["sha256"]
    assert "rvm_mobilenetv3_fp32" in run("models", "list").out
    assert run("models", "path").out.strip() == str(tmp_path / "models")
    assert run("models", "verify").code == 0
    outcome = run("models", "verify", "rvm_mobilenetv3_fp33")
    assert outcome.code == 4
    assert "did you mean rvm_mobilenetv3_fp3" in outcome.one_error()
    assert run("models", "pull", "rvm_resnet50_fp32").code == 4


def test_offline_means_no_download(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_OFFLINE", "1")
    outcome = run("models", "pull", "rvm_mobilenetv3_fp32")
    assert outcome.code == 4
    assert "RVM_OFFLINE" in outcome.one_error()


# ── what fails, in one line and with its exit code ───────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("convert",), 2, "no INPUT was given"),
        (("convert", "talk.mp4"), 2, "nothing to write: give -o FILE (for instance -o talk.out"),
        (("convert", "talk.mp4", "-o", "x.mp4", "--backgroud", "red"), 2, "Did you mean --backgr"),
        (("convert", "talk.mp4", "-o", "x.mp4", "--crf", "99"), 2, "--crf: got 99.0, expected 0"),
        (("convert", "talk.mp4", "-o", "x.mp4", "--crf", "low"), 2, '"low" into float'),
        (("convert", "talk.mp4", "-o", "x.mp4", "--background", "rde"), 2, "did you mean red"),
        (("convert", "talk.mp4", "-o", "x.mp4", "--background", ""), 2, "got an empty text"),
        (("convert", "talk.mp4", "-o", "x.mp4", "--background", "text.jpg"), 3, "not a picture"),
        (("convert", "talk.mp4", "-o", "-"), 2, "-: standard input and output are not used"),
        (("convert", "-", "-o", "x.mp4"), 2, "-: standard input and output are not used"),
        (("convert", "talk.mp4", "-o", "x.mp4", "--crf"), 2, "See rvm convert --help."),
        (("live", "clip.mp4"), 2, "by --camera clip.mp4. See rvm live --help."),
        (("models", "pull"), 2, "See rvm models pull --help."),
        (("convert", "talk.mp4", "-o", "x.mp4", "-m", "text.onnx"), 4, "text.onnx is no ONNX file"),
        (("convert", "talk.mp4", "-o", "x.xyz"), 2, ".xyz is not a"),
        (("convert", "talk.mp4", "-o", "talk.mp4", "-y"), 2, "talk.mp4 is an input"),
        (
            ("convert", "talk.mp4", "-o", "there.mp4", "-y", "--background", "there.mp4"),
            2,
            "there.mp4 is the background",
        ),
        (("convert", "talk.mp4", "-o", "x.bmp", "--background", "transparent"), 2, "or .png"),
        (("convert", "talk.mp4", "-o", "%d.jpg", "--background", "transparent"), 2, "or .png"),
        (("convert", "talk.mp4", "a/talk.mp4", "-o", "x.mp4"), 2, "give a folder: x/"),
        (("convert", "talk.mp4", "a/talk.mp4", "-o", "out"), 2, "two results"),
        (("convert", "--config", "cal", "--print-config"), 2, "a preset that ships (call,"),
        (("convrt", "talk.mp4"), 2, 'Did you mean "convert"'),
        (("live", "--fps", "0"), 2, "--fps: got 0.0, expected above 0 to 1000"),
        (("demo", "--seconds", "nan"), 2, "--seconds: got nan"),
        (("demo", "--seconds", "1:30"), 2, "--seconds: got 90.0, expected above 0 to 60"),
        (("demo", "--seconds", "4s"), 2, "--seconds: got '4s', expected seconds, MM:SS or HH:MM"),
        (("convert", "gone.mp4", "-o", "x.mp4"), 3, "gone.mp4"),
        (("convert", "empty.mp4", "-o", "x.mp4"), 3, "empty.mp4"),
        (("convert", "http://127.0.0.1:9/x.mp4", "-o", "x.mp4"), 3, "not a file"),
        (("convert", "talk.mp4", "-o", "x.mp4", "-m", "resnt"), 4, "unknown model 'resnt'"),
        (("convert", "talk.mp4", "-o", "x.mp4", "-m", "fake:fail_at=3"), 4, "failed at step 3"),
        (("live", "--camera", "97", "--to", "null"), 5, "camera 97"),
        (("convert", "talk.mp4", "-o", "there.mp4"), 6, "there.mp4 exists"),
        (("convert", "talk.mp4", "-o", "no/folder/x.mp4"), 6, "no/folder"),
    ],
)
def test_each_failure_is_one_line_and_its_exit_code(
    run: Run, talk: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, line: str
) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "there.mp4").write_bytes(b"precious")
    for name in ("text.jpg", "text.onnx"):
        (tmp_path / name).write_text("no picture and no model\n" * 50, encoding="utf-8")
    runs = arguments[0] in ("convert", "live") and "-m" not in arguments
    outcome = run(*arguments, *(("-m", "fake") if runs else ()))
    assert line in outcome.one_error()
    assert outcome.code == code
    assert outcome.out == ""
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"
    assert not (tmp_path / "x.mp4").exists()


def test_a_truncated_clip_is_converted_as_far_as_it_goes(run: Run, tmp_path: Path) -> None:
    write_clip(tmp_path / "cut.mkv", frames=60)
    truncate(tmp_path / "cut.mkv", 0.5)
    outcome = run("convert", "cut.mkv", "-o", "x.mp4", "-m", "fake", "--background", "none",
                  "--json")  # fmt: skip
    assert outcome.code == 7
    assert "cut.mkv" in outcome.one_error()
    (report,) = outcome.objects
    kept = numbers(tmp_path / "x.mp4")
    assert kept == sorted(set(kept))
    assert kept[:6] == [0, 1, 2, 3, 4, 5]
    assert report["frames_out"] == len(kept) > 5
    assert (report["input"], report["outputs"]) == ("cut.mkv", ["x.mp4"])


def test_a_failure_is_an_object_too_where_json_is_asked_for(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    outcome = run("convert", "empty.mp4", "-o", "x.mp4", "-m", "fake", "--json")
    assert outcome.code == 3
    (failure,) = outcome.objects
    assert failure == {"input": "empty.mp4", "error": outcome.one_error(), "exit_code": 3}
    address = "ftp://me:secret@127.0.0.1:9/x"
    outcome = run("live", "--camera", address, "--to", "null", "-m", "fake", "--json")
    assert outcome.code == 3
    (failure,) = outcome.objects
    assert (failure["input"], failure["exit_code"]) == ("ftp://***@127.0.0.1:9/x", 3)


def test_a_mistake_in_rvm_itself_is_one_line_too(
    run: Run, talk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("rvm.api.convert", broken)
    outcome = run("convert", talk, "-o", "x.mp4")
    assert outcome.code == 1
    assert "unexpected KeyError: 'surprise'" in outcome.one_error()
    assert "--debug" in outcome.err
    assert "Traceback" in run("convert", talk, "-o", "x.mp4", "--debug").err


def test_a_reader_that_leaves_is_no_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(sys.stdout, "write", gone)
    assert main(["models", "path"]) == 0


# ── help and version ─────────────────────────────────────────────────────────────────────────


def test_help_lists_the_commands_and_the_exit_codes(run: Run) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    for word in ("convert", "live", "demo", "devices", "doctor", "bench", "models"):
        assert word in outcome.out
    for code in ("0  done", "2  wrong option", "7  finished", "130  Ctrl-C", "143 SIGTERM"):
        assert code in outcome.out


@pytest.mark.parametrize(
    "command", ["convert", "live", "demo", "devices", "doctor", "bench", "models"]
)
def test_every_command_has_help(run: Run, command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert f"Usage: rvm {command}" in outcome.out


def test_help_shows_defaults_and_ranges_of_the_settings(run: Run) -> None:
    text = " ".join(run("convert", "--help").out.replace("│", " ").split())
    assert "[default: #00b140]" in text
    assert "(0 to 63) [default: the codec's]" in text
    assert "--no-audio" in text
    assert "auto, x264, x265, vp9, av1, prores, ffv1, h264_nvenc" in text
    assert "auto, cpu, gpu [default: auto]" in text


def test_version_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rvm.cli import main; main(['--version']);"
        "heavy = {'av', 'cv2', 'cyclopts', 'numpy', 'onnxruntime', 'rich', 'torch', 'logging'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines() == [f"rvm {rvm.__version__}", "[]"]


def test_help_imports_no_engine() -> None:
    code = (
        "import sys; from rvm.cli import main; main(['convert', '--help']);"
        "heavy = {'av', 'cv2', 'onnxruntime', 'torch'};"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.strip() == "[]"
