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
    assert convert_with(tmp_path, config=here).settings.model == "evil.onnx"
    here.rename(tmp_path / "home.toml")
    write(tmp_path / "home" / "rvm.toml", 'model = "mine.onnx"\n')
    assert convert_with(tmp_path).settings.model == "mine.onnx"


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
    given = {"background": 'a "b" \\ \x7f ü.png', "crf": 20.0, "audio": False, "bitrate": "8M"}
    first = convert_with(tmp_path, given)
    path = write(tmp_path / "printed.toml", to_toml("convert", first))
    again = convert_with(tmp_path, config=path)
    assert again.settings == first.settings


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
