"""Secrets in files: one line, whatever else is there is told of without being shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from roost.streams import Settings, SettingsError
from roost.streams.secret_file import read_secret
from roost.streams.url import ServerUrl


def write(path: Path, content: bytes, mode: int = 0o600) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_a_secret_is_a_line_of_text(tmp_path: Path) -> None:
    assert read_secret(write(tmp_path / "s", b"hunter2 and more\r\n"), "X_FILE") == "hunter2 and more"


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"\xff\xfe", b"\x00", b"x" * 20_000])
def test_what_holds_no_secret_is_told_of_by_the_setting_that_names_it(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SettingsError, match="X_FILE"):
        read_secret(write(tmp_path / "s", content), "X_FILE")


@pytest.mark.parametrize("place", ["missing", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_told_of(tmp_path: Path, place: str) -> None:
    with pytest.raises(SettingsError, match="X_FILE"):
        read_secret(f"{tmp_path}/{place}", "X_FILE")


def test_a_secret_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    with capture_logs() as logs:
        read_secret(write(tmp_path / "s", b"hunter2", 0o644), "X_FILE")
    assert [each["log_level"] for each in logs] == ["warning"]
    assert "hunter2" not in str(logs)


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("redis://h:1/0", "p@ss /?#word"),
        ("redis://bot@h:1", "p@ss /?#word"),
        ("redis+cluster://bot@h:1,g:2", "p@ss /?#word"),
        ("redis+sentinel://h:1,g:2/name/0", "p@ss /?#word"),
        ("unix:///run/s.sock?db=1", "p@ss /?#word"),
        ("redis://bot:own@h:1", "own"),
    ],
)
def test_a_password_from_a_file_goes_to_an_address_that_has_none(tmp_path: Path, url: str, password: str) -> None:
    environ = {"ROOST_URL": url, "ROOST_PASSWORD_FILE": write(tmp_path / "s", b"p@ss /?#word\n")}
    settings = Settings.read(environ)
    parsed, before = ServerUrl.parse(settings.url or ""), ServerUrl.parse(url)
    assert parsed.password == password
    assert (parsed.username, parsed.hosts, parsed.db, parsed.path) == (
        before.username, before.hosts, before.db, before.path,
    )  # fmt: skip
    assert "p@ss" not in str(settings) + str(settings.shown_url)


def test_the_page_s_tokens_come_from_files(tmp_path: Path) -> None:
    names = ("ROOST_DASH_TOKEN", "ROOST_DASH_WRITE_TOKEN")
    files = {f"{name}_FILE": write(tmp_path / name, name.encode()) for name in names}
    settings = Settings.read({"ROOST_URL": "redis://h", **files})
    assert (settings.page_token, settings.page_write_token) == ("ROOST_DASH_TOKEN", "ROOST_DASH_WRITE_TOKEN")
