"""Settings: precedence, origins, ranges, and what a file may not say."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from typing import Any

import pytest

import rvm.api
from rvm.config import (
    COMMANDS,
    ConvertSettings,
    LiveSettings,
    bits_per_second,
    flag,
    rules,
    value_types,
)
from rvm.config_sources import Resolved, find_config, presets, resolve, to_toml
from rvm.errors import UsageError
from rvm.sinks.codecs import choose_codec


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: tmp_path / "home")


def convert_with(
    folder: Path, given: dict[str, Any] | None = None, **more: Any
) -> Resolved[ConvertSettings]:
    more.setdefault("environment", {})
    return resolve(ConvertSettings, given or {}, folder=folder, **more)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_source_every_setting_has_its_default(tmp_path: Path) -> None:
    resolved = convert_with(tmp_path)
    assert resolved.settings == ConvertSettings()
    assert set(resolved.origins.values()) == {"default"}


def test_the_command_line_beats_the_environment_beats_a_file_beats_the_default(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "rvm.toml", 'crf = 10\npreset = "slow"\ndevice = "cpu"\n')
    resolved = convert_with(
        tmp_path, {"crf": 30.0}, environment={"RVM_CRF": "20", "RVM_PRESET": "fast"}
    )
    settings, origins = resolved.settings, resolved.origins
    assert (settings.crf, origins["crf"]) == (30.0, "--crf")
    assert (settings.preset, origins["preset"]) == ("fast", "RVM_PRESET")
    assert (settings.device, origins["device"]) == ("cpu", str(path))
    assert (settings.engine, origins["engine"]) == ("auto", "default")


def test_the_folder_beats_the_home_and_a_named_file_replaces_both(tmp_path: Path) -> None:
    write(tmp_path / "home" / "rvm.toml", 'preset = "slow"\ncrf = 11\n')
    write(tmp_path / "rvm.toml", "crf = 12\n")
    merged = convert_with(tmp_path).settings
    assert (merged.preset, merged.crf) == ("slow", 12.0)
    named = write(tmp_path / "mine.toml", "max_loss = 3\n")
    alone = convert_with(tmp_path, config=named).settings
    assert (alone.preset, alone.crf, alone.max_loss) == (None, None, 3)


def test_a_table_is_for_one_command_and_beats_the_top_of_its_file(tmp_path: Path) -> None:
    write(tmp_path / "rvm.toml", 'background = "red"\n[live]\nbackground = "blur"\nfps = 25\n')
    assert convert_with(tmp_path).settings.background == "red"
    live = resolve(LiveSettings, {}, folder=tmp_path, environment={}).settings
    assert (live.background, live.fps) == ("blur", 25.0)


def test_a_file_may_write_dashes_like_the_options(tmp_path: Path) -> None:
    write(tmp_path / "rvm.toml", "downsample-ratio = 0.5\n")
    assert convert_with(tmp_path).settings.downsample_ratio == 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("backgruond = 'red'", "backgruond: unknown setting; did you mean background?"),
        ("[live]\nfsp = 3", "live.fsp: unknown setting; did you mean fps?"),
        ("[convert]\ncamera = 0", "convert.camera: unknown setting"),
        ("[convrt]\ncrf = 3", "unknown table [convrt]; did you mean convert?"),
        ("crf = 'low'", "crf: got 'low', expected a number"),
        ("crf = true", "crf: got True, expected a number"),
        ("max_loss = 1.5", "max_loss: got 1.5, expected a whole number"),
        ("audio = 1", "audio: got 1, expected true or false"),
        ("crf = 64", "crf: got 64.0, expected 0 to 63"),
        ("crf = nan", "crf: got nan, expected 0 to 63"),
        ("start_seconds = inf", "start_seconds: got inf, expected 0 or more"),
        ("downsample_ratio = 0.0", "downsample_ratio: got 0.0, expected above 0 to 1"),
        ("device = 'gpu'", "device: got 'gpu', expected auto, cpu, cuda"),
        ("bitrate = '8 MB'", "bitrate: got '8 MB', expected a number of bits"),
        ("overwrite = true", "overwrite can only be set on the command line"),
        ("crf = ", "not valid TOML"),
    ],
)
def test_a_file_that_says_something_wrong_is_refused_in_one_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = write(tmp_path / "rvm.toml", text)
    with pytest.raises(UsageError) as caught:
        convert_with(tmp_path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_the_table_of_another_command_is_found_too(tmp_path: Path) -> None:
    write(tmp_path / "rvm.toml", "[live]\nwidth = 'wide'\n")
    with pytest.raises(UsageError, match="a whole number"):
        convert_with(tmp_path)


def test_only_a_file_the_user_chose_may_name_a_model(tmp_path: Path) -> None:
    here = write(tmp_path / "rvm.toml", 'model = "evil.onnx"\n')
    with pytest.raises(UsageError, match=r"--config rvm\.toml if you trust it"):
        convert_with(tmp_path)
    assert convert_with(tmp_path, config=here).settings.model == str(tmp_path / "evil.onnx")
    here.rename(tmp_path / "home.toml")
    write(tmp_path / "home" / "rvm.toml", 'model = "mine.onnx"\n')
    assert convert_with(tmp_path).settings.model == str(tmp_path / "home" / "mine.onnx")


@pytest.mark.parametrize("text", ["start = 2", "start = 00:00:02", 'start_seconds = "0:02.0"'])
def test_a_setting_may_be_called_like_its_option(tmp_path: Path, text: str) -> None:
    write(tmp_path / "rvm.toml", f"[convert]\n{text}\n")
    assert convert_with(tmp_path).settings.start_seconds == 2.0
    resolved = convert_with(tmp_path, environment={"RVM_START": "1:00", "RVM_DURATION": "3"})
    assert (resolved.settings.start_seconds, resolved.settings.duration_seconds) == (60.0, 3.0)
    assert resolved.origins["start_seconds"] == "RVM_START"


def test_the_same_setting_under_both_of_its_names_is_a_mistake(tmp_path: Path) -> None:
    variables = {"RVM_START": "1", "RVM_START_SECONDS": "2"}
    with pytest.raises(UsageError, match="RVM_START and RVM_START_SECONDS are the same"):
        convert_with(tmp_path, environment=variables)
    write(tmp_path / "rvm.toml", "start = 1\nstart_seconds = 2\n")
    with pytest.raises(UsageError, match="start_seconds: the same setting"):
        convert_with(tmp_path)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0), ("2.5", 2.5), ("90", 90.0), ("1:30", 90.0), ("90:00", 5400.0),
        ("00:00:02", 2.0), ("01:02:03.25", 3723.25), ("1:60", None), ("1:60:00", None),
        ("1:2:3:4", None), ("1:-2", None), ("", None), (":30", None), ("low", None),
    ],
)  # fmt: skip
def test_moments_are_seconds_or_read_off_a_clock(
    tmp_path: Path, text: str, seconds: float | None
) -> None:
    given = {"start_seconds": text}
    if seconds is not None:
        assert convert_with(tmp_path, given).settings.start_seconds == seconds
    else:
        with pytest.raises(UsageError, match=r"^--start: got .*expected seconds, MM:SS or HH"):
            convert_with(tmp_path, given)
    for wrong in ("nan", "inf", "-1"):
        with pytest.raises(UsageError, match="expected 0 or more"):
            convert_with(tmp_path, {"start_seconds": wrong})


def test_a_path_in_a_file_begins_where_the_file_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "me"))
    path = tmp_path / "there" / "mine.toml"

    def background(text: str) -> str | None:
        write(path, f"background = '{text}'\n")
        return convert_with(tmp_path, config=path).settings.background

    assert background("beach.jpg") == str(tmp_path / "there" / "beach.jpg")
    assert background("../beach.jpg") == str(tmp_path / "there" / "../beach.jpg")
    assert background("image:beach.jpg") == f"image:{tmp_path / 'there' / 'beach.jpg'}"
    assert background("~/beach.jpg") == str(tmp_path / "me" / "beach.jpg")
    absolute = str(tmp_path / "a.jpg")
    assert background(absolute) == absolute
    write(tmp_path / "there" / "green", "a file called like a colour")
    for word in ("blur", "green", "transparent", "none", "#00b140", "blur:0.85", "BLUR"):
        assert background(word) == word
    assert convert_with(tmp_path, {"background": "x.jpg"}).settings.background == "x.jpg"


@pytest.mark.parametrize(
    ("text", "camera", "to"),
    [
        ("camera = 1", "1", "virtualcam"),
        ("camera = 'rtsp://h/1.mp4'\nto = 'virtualcam:/dev/video2'", "rtsp://h/1.mp4",
         "virtualcam:/dev/video2"),
        ("camera = 'clip.mp4'\nto = 'shots/'", "{}/clip.mp4", "{}/shots/"),
        ("camera = 'clip.3gp'", "{}/clip.3gp", "virtualcam"),
        ("camera = '/dev/video0'\nto = 'null'", "/dev/video0", "null"),
        ("camera = 'synthetic:count=9,fps=30'", "synthetic:count=9,fps=30", "virtualcam"),
    ],
)  # fmt: skip
def test_so_do_clips_and_recordings_but_no_devices_and_addresses(
    tmp_path: Path, text: str, camera: str, to: str
) -> None:
    path = write(tmp_path / "there" / "x.toml", f"[live]\n{text}\n")
    settings = resolve(LiveSettings, {}, config=path, environment={}).settings
    assert settings.camera == camera.format(path.parent)
    assert settings.to == to.format(path.parent)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("RVM_STRAT", "RVM_STRAT is ignored: no such setting; did you mean RVM_START?"),
        ("RVM_BACKGROUNDS", "did you mean RVM_BACKGROUND?"),
        ("RVM_OVERWRITE", "RVM_OVERWRITE is ignored: only the command line may say --overwrite"),
        ("RVM_MODEL_DIR", ""), ("RVM_OFFLINE", ""), ("RVM_SHARED", ""), ("RVM_TRAIN_DATA", ""),
        ("RVM_REQUIRE_GPU", ""), ("RVM_PATH", ""), ("RVM_BIN_PATH", ""), ("RVM_PREFIX", ""),
        ("RVM_CAMERA", ""), ("RVM_RUBY_STRING", ""), ("rvm_strat", ""),
    ],
)  # fmt: skip
def test_a_variable_that_is_nearly_a_setting_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, hint: str
) -> None:
    convert_with(tmp_path, environment={name: "1"})
    assert [hint in record.getMessage() for record in caplog.records] == ([True] if hint else [])


def test_a_file_that_is_not_text_and_one_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "rvm.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        convert_with(tmp_path)
    with pytest.raises(UsageError, match=r"neither a file nor a preset .*call"):
        find_config(tmp_path / "nowhere.toml")


def test_a_named_file_with_nothing_for_this_command_is_a_mistake(tmp_path: Path) -> None:
    path = write(tmp_path / "x.toml", "[live]\nfps = 30\n")
    with pytest.raises(UsageError, match="no setting for rvm convert"):
        convert_with(tmp_path, config=path)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("RVM_AUDIO", "no", "audio", False),
        ("RVM_AUDIO", "1", "audio", True),
        ("RVM_LINEAR_LIGHT", "True", "linear_light", True),
        ("RVM_MAX_LOSS", "4", "max_loss", 4),
        ("RVM_BITRATE", "8M", "bitrate", "8M"),
        ("RVM_DEVICE", "", "device", "auto"),
        ("RVM_OVERWRITE", "1", "overwrite", False),
        ("RVM_PATH", "/ruby", "device", "auto"),
    ],
)
def test_the_environment(tmp_path: Path, name: str, text: str, field: str, value: Any) -> None:
    settings = convert_with(tmp_path, environment={name: text}).settings
    assert getattr(settings, field) == value


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("RVM_AUDIO", "maybe", "RVM_AUDIO: got 'maybe', expected true or false"),
        ("RVM_CRF", "low", "RVM_CRF: got 'low', expected a number"),
        ("RVM_MAX_LOSS", "-1", "RVM_MAX_LOSS: got -1, expected 0 or more"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, text: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert_with(tmp_path, environment={name: text})
    assert str(caught.value) == expected


def test_a_wrong_option_is_named_as_it_was_typed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--start: got -1.0, expected 0 or more$"):
        convert_with(tmp_path, {"start_seconds": -1.0})


@pytest.mark.parametrize(
    ("text", "bits"), [(None, None), ("800k", 800_000), ("1.5M", 1_500_000), ("96000", 96_000)]
)
def test_bits_per_second(text: str | None, bits: int | None) -> None:
    assert bits_per_second(text) == bits


def test_what_is_printed_can_be_read_back(tmp_path: Path) -> None:
    picture = str(tmp_path / 'a "b" \\ \x7f ü.png')
    given = {"background": picture, "crf": 20.0, "audio": False, "bitrate": "8M"}
    first = convert_with(tmp_path, given)
    path = write(tmp_path / "elsewhere" / "printed.toml", to_toml("convert", first))
    again = convert_with(tmp_path, config=path)
    assert again.settings == first.settings


def test_a_printed_path_is_the_same_file_wherever_the_print_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = to_toml("convert", convert_with(tmp_path, {"background": "beach.jpg"}))
    path = write(tmp_path / "elsewhere" / "printed.toml", printed)
    assert convert_with(tmp_path, config=path).settings.background == str(tmp_path / "beach.jpg")


@pytest.mark.parametrize("name", ["call", "stream", "offline-4k"])
def test_presets_say_only_what_works(name: str, tmp_path: Path) -> None:
    path = presets()[name]
    for command in tomllib.loads(path.read_text(encoding="utf-8")):
        settings: Any = resolve(COMMANDS[command], {}, config=name, environment={}).settings
        codec, _ = choose_codec(settings.codec, "mp4", alpha=False, depth=8, size=(1920, 1080))
        codec.encoder_options(settings.crf, bits_per_second(settings.bitrate), settings.preset)


def test_training_recipes_are_not_presets() -> None:
    assert set(presets()) == {"call", "stream", "offline-4k"}


@pytest.mark.parametrize(("command", "kind"), COMMANDS.items())
def test_every_setting_is_a_parameter_of_the_library_and_has_help(command: str, kind: Any) -> None:
    parameters = set(inspect.signature(getattr(rvm.api, command)).parameters)
    assert set(rules(kind)) <= parameters
    assert all(rule.help for rule in rules(kind).values())
    assert set(value_types(kind).values()) <= {bool, int, float, str}


@pytest.mark.parametrize("kind", COMMANDS.values())
def test_defaults_are_in_their_own_range_and_flags_are_distinct(kind: Any) -> None:
    defaults = kind()
    for name, rule in rules(kind).items():
        value = getattr(defaults, name)
        assert rule.fits(value) if value is not None else rule.unset
    flags = [flag(kind, name) for name in rules(kind)]
    assert len(set(flags)) == len(flags)
