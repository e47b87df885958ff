"""The four settings: where they come from, what they may be, and what stands in for an unusable home."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from roost.streams import home as home_module
from roost.streams.errors import SettingsError
from roost.streams.home import prepare_home
from roost.streams.settings import Settings


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home_module, "_said", set[Path]())


def test_without_any_setting_the_memory_is_in_the_home_directory(tmp_path: Path) -> None:
    settings = Settings.read({"HOME": str(tmp_path)})
    assert settings == Settings(url=None, flock="default", home=tmp_path / ".roost", model=None)
    assert settings.shown_url is None
    assert stat.S_IMODE((tmp_path / ".roost").stat().st_mode) == 0o700


def test_the_environment_sets_everything(tmp_path: Path) -> None:
    environ = {
        "ROOST_URL": "redis://user:hunter2@example.org",
        "ROOST_FLOCK": "research",
        "ROOST_HOME": str(tmp_path),
        "ROOST_MODEL": "openai/gpt-5",
    }
    settings = Settings.read(environ)
    assert settings == Settings("redis://user:hunter2@example.org", "research", tmp_path, "openai/gpt-5")
    assert settings.shown_url == "redis://user:***@example.org"
    assert "hunter2" not in repr(settings)


def test_an_argument_wins_over_the_environment(tmp_path: Path) -> None:
    environ = {"ROOST_URL": "redis://a", "ROOST_FLOCK": "a", "ROOST_HOME": "/a", "ROOST_MODEL": "a"}
    settings = Settings.read(environ, url="redis://b", flock="b", home=tmp_path, model="b")
    assert settings == Settings("redis://b", "b", tmp_path, "b")


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    empty = {"ROOST_URL": " ", "ROOST_FLOCK": "", "ROOST_HOME": "", "ROOST_MODEL": "", "HOME": str(tmp_path)}
    assert Settings.read(empty) == Settings(None, "default", tmp_path / ".roost", None)


def test_the_address_of_jaeger_has_no_slash_at_its_end() -> None:
    environ = {"ROOST_URL": "redis://a", "ROOST_JAEGER_URL": "https://traces.example.org/jaeger/"}
    assert Settings.read(environ).jaeger == "https://traces.example.org/jaeger"
    assert Settings.read(environ, jaeger="http://[::1]:16686/").jaeger == "http://[::1]:16686"
    assert Settings.read({"ROOST_URL": "redis://a", "ROOST_JAEGER_URL": " "}).jaeger is None


def test_the_process_environment_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOST_HOME", str(tmp_path))
    monkeypatch.setenv("ROOST_FLOCK", "from-the-process")
    monkeypatch.delenv("ROOST_URL", raising=False)
    assert Settings.read().flock == "from-the-process"


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"ROOST_URL": "example.org"}, "must begin with redis://"),
        ({"ROOST_FLOCK": "a flock"}, "cannot name a flock"),
        ({"ROOST_FLOCK": "a{b}"}, "cannot name a flock"),
        ({"ROOST_FLOCK": "x" * 65}, "cannot name a flock"),
        ({"ROOST_FLOCK": "-x"}, "cannot name a flock"),
        ({"ROOST_FLOCK": "line\nbreak"}, "cannot name a flock"),
        ({"ROOST_MODEL": "two words"}, "cannot name a model"),
        ({"ROOST_MODEL": "bell\x07"}, "cannot name a model"),
        ({"ROOST_JAEGER_URL": "localhost:16686"}, "begins with http://"),
        ({"ROOST_JAEGER_URL": "http://user:hunter2@localhost"}, "no user"),
        ({"ROOST_JAEGER_URL": "http://a/\x1b]0;x"}, "begins with http://"),
        ({"ROOST_HOME": "~no-such-user/x"}, "names a user who does not exist"),
        ({"ROOST_HOME": "/a\nb"}, "control characters"),
        ({"ROOST_HOME": "/dev/null"}, "is not a directory"),
    ],
)
def test_a_bad_setting_is_refused_in_one_line(environ: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read({"HOME": "/nonexistent", "ROOST_URL": "redis://a", **environ})
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reading_the_settings_of_a_server_elsewhere_makes_no_directory(tmp_path: Path) -> None:
    settings = Settings.read({"HOME": str(tmp_path), "ROOST_URL": "redis://example.org"})
    assert settings.home == tmp_path / ".roost"
    assert not settings.home.exists()


@pytest.mark.parametrize("unusable", ["/dev/null/nobody", "/proc", "/no/such/home"])
def test_a_home_that_cannot_be_written_is_replaced_and_that_is_said_once(
    unusable: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    environ = {"HOME": unusable, "XDG_RUNTIME_DIR": str(tmp_path)}
    with caplog.at_level(logging.WARNING):
        first, second = Settings.read(environ), Settings.read(environ)
    assert first.home == second.home == tmp_path / "roost"
    assert stat.S_IMODE(first.home.stat().st_mode) == 0o700
    assert len(caplog.records) == 1
    assert unusable in caplog.text
    assert "set ROOST_HOME to keep it" in caplog.text


def test_a_memory_that_is_there_is_not_left_aside_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".roost").mkdir(mode=0o700)
    (tmp_path / ".roost" / "lock").touch()

    def refuse(*_: object, **__: object) -> str:
        return "no space left on device"

    monkeypatch.setattr(home_module, "_try_directory", refuse)
    assert Settings.read({"HOME": str(tmp_path)}).home == tmp_path / ".roost"
    assert not caplog.records


def test_without_a_runtime_directory_the_temporary_one_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings = Settings.read({"HOME": "/dev/null/nobody", "XDG_RUNTIME_DIR": "/dev/null/run"})
    assert settings.home == tmp_path / f"roost-{os.getuid()}"


def test_a_temporary_directory_that_another_made_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"roost-{os.getuid()}").symlink_to(elsewhere)
    with pytest.raises(SettingsError, match="belongs to another user"):
        Settings.read({"HOME": "/dev/null/nobody"})


def test_a_stand_in_with_loose_rights_is_closed_to_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "roost").mkdir(mode=0o755)
    settings = Settings.read({"HOME": "/dev/null/nobody", "XDG_RUNTIME_DIR": str(tmp_path)})
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700


def test_an_empty_home_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    prepare_home(tmp_path / "home")
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_a_home_with_missing_parents_is_made(tmp_path: Path) -> None:
    prepare_home(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_home_in_which_others_can_write_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "something").touch()
    home.chmod(0o777)
    with pytest.raises(SettingsError, match="can be written by other users; run: chmod 700"):
        prepare_home(home)


@pytest.mark.parametrize("unusable", ["/dev/null/x", "/proc/x"])
def test_a_chosen_home_that_cannot_be_written_is_refused(unusable: str) -> None:
    with pytest.raises(SettingsError, match="set ROOST_HOME to a directory that can be written"):
        prepare_home(Path(unusable))
