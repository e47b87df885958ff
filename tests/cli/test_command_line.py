"""The command line as such: help, wrong usage, and how failures are told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from roost_tests.bare_server import BareServer
from roost_tests.command import Ran, RoostCommand
from roost_tests.ports import free_port
from roost_tests.strange_servers import listen

from roost.cli.command_table import SECTIONS, TABLE
from roost.cli.failure import hide_secrets, remember_secret, report_failure
from roost.cli.main import cli

LOAD = """
import json, sys
from roost.cli.main import main
try:
    main([{words}])
except SystemExit as ended:
    print(json.dumps([ended.code or 0, sorted(sys.modules)]), file=sys.stderr)
"""
HEAVY = {"numpy", "openai", "opentelemetry", "orjson", "pydantic", "redis", "rich", "structlog", "sumy"}
EXISTING = [entry.name for entry in TABLE.values() if entry.exists]


def is_one_line(ran: Ran) -> bool:
    """Nothing but one line that the command says of itself on standard error."""
    return ran.out == "" and ran.err.startswith("roost: ") and ran.err.count("\n") == 1 and ran.err.endswith("\n")


@pytest.mark.parametrize("words", [["--help"], ["log", "--help"], ["up", "--help"], ["--version"], ["lgo"]])
def test_help_and_wrong_usage_load_no_library_but_click(words: list[str], tmp_path: Path) -> None:
    code = LOAD.format(words=", ".join(map(repr, words)))
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    ended, loaded = json.loads(ran.stderr.splitlines()[-1])
    assert ended == (2 if words == ["lgo"] else 0)
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert "roost.streams" not in loaded


def test_help_lists_in_sections_the_commands_that_exist_and_no_others() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    sections = [line.rstrip(":") for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    expected = [title for title, entries in SECTIONS.items() if any(entry.exists for entry in entries)]
    assert sections == [*expected, "Options"]
    for entry in TABLE.values():
        assert (f"  {entry.name} " in shown and entry.help in shown) is entry.exists
    assert {"up", "down", "status", "log", "notes", "note", "forget", "work"} <= set(EXISTING)


@pytest.mark.parametrize("name", EXISTING)
def test_each_command_of_the_table_is_there_under_its_name_and_explains_itself(name: str) -> None:
    entry = TABLE[name]
    command = getattr(import_module(entry.module), entry.attribute)
    assert isinstance(command, click.Command)
    assert command.help
    shown = CliRunner().invoke(cli, [name, "--help"], prog_name="roost")
    assert shown.exit_code == 0
    assert shown.output.startswith(f"Usage: roost {name} ")


def test_a_command_of_the_table_without_a_module_is_an_unknown_command() -> None:
    missing = next(entry.name for entry in TABLE.values() if not entry.exists)
    assert CliRunner().invoke(cli, [missing]).exit_code == 2


async def test_roost_alone_shows_help_and_a_wrong_word_is_wrong_usage(roost_at_home: RoostCommand) -> None:
    alone, unknown, option, value, extra = await asyncio.gather(
        roost_at_home(),
        roost_at_home("statsu"),
        roost_at_home("status", "--jsno"),
        roost_at_home("log", "--limit", "many"),
        roost_at_home("status", "redis://user:secret-word@host\x1b]0;title\x07"),
    )
    assert alone.code == 0
    assert alone.out.startswith("Usage: roost ")
    for ran in (unknown, option, value, extra):
        assert ran.code == 2
        assert is_one_line(ran)
    assert "'status'" in unknown.err
    assert "'--json'" in option.err
    assert "`roost log --help`" in value.err
    assert "secret-word" not in extra.err
    assert extra.danger == []


async def test_settings_that_make_no_sense_are_wrong_usage_and_keep_passwords_to_themselves(
    roost_at_home: RoostCommand,
) -> None:
    wrong = await asyncio.gather(
        roost_at_home("status", "--url", "http://user:secret-word@host"),
        roost_at_home("log", ROOST_URL="redis://user:secret-word/@host:1"),
        roost_at_home("log", "--flock", "no spaces"),
        roost_at_home("up", ROOST_HOME="/dev/null"),
        roost_at_home("log", "--after", "yesterday", ROOST_URL="redis://127.0.0.1:1"),
    )
    for ran in wrong:
        assert ran.code == 2
        assert is_one_line(ran)
        assert "secret-word" not in ran.err


async def test_a_server_that_cannot_be_used_is_one_line_that_says_what_to_do(
    roost_at_home: RoostCommand, bare_server: Callable[..., Awaitable[BareServer]]
) -> None:
    async def chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()

    guarded = await bare_server("--requirepass", "the-password")
    async with listen(chat) as stranger:
        dead, wrong, none, strange, not_ours = await asyncio.gather(
            roost_at_home("log", ROOST_URL=f"redis://127.0.0.1:{free_port()}"),
            roost_at_home("status", ROOST_URL=guarded.url.replace("//", "//:wrong-word@")),
            roost_at_home("notes", ROOST_URL=guarded.url),
            roost_at_home("note", "ab", ROOST_URL=f"redis://127.0.0.1:{stranger}"),
            roost_at_home("down", ROOST_URL=guarded.url.replace("//", "//:the-password@")),
        )
    for ran in (dead, wrong, none, strange, not_ours):
        assert ran.code == 1
        assert is_one_line(ran)
        assert "wrong-word" not in ran.err
        assert "the-password" not in ran.err
    assert "refuses connections" in dead.err
    assert "password" in wrong.err
    assert "password" in none.err
    assert "not answer like a Redis" in strange.err
    assert "not Roost's own" in not_ours.err


def test_an_unexpected_error_asks_for_debug_which_shows_where_and_hides_secrets_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise ValueError("cannot use redis://user:secret-word@host:1\nfor\x1b[2J that")

    with pytest.raises(ValueError, match="cannot use") as caught:
        fail()
    assert report_failure(caught.value, debug=False) == 1
    plain = capsys.readouterr().err
    assert report_failure(caught.value, debug=True) == 1
    full = capsys.readouterr().err
    assert plain.count("\n") == 1
    assert plain.startswith("roost: unexpected ValueError: ")
    assert "--debug" in plain
    assert "Traceback" in full
    assert "test_command_line.py" in full
    for shown in (plain, full):
        assert "secret-word" not in shown
        assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at redis://host:1", "at redis://host:1"),
        ("at redis://user:secret@host", "at redis://user:***@host"),
        ("at redis://:secret@host", "at redis://:***@host"),
        ("at rediss://secret@host", "at rediss://***@host"),
        ("at redis://user:sec@ret/1@host", "at redis://user:***@host"),
        ("unix:///s.sock?password=secret&db=1", "unix:///s.sock?password=***&db=1"),
        ("'http://a:secret@h' and 'http://b:secret@i'", "'http://a:***@h' and 'http://b:***@i'"),
        ("mail to somebody@host", "mail to somebody@host"),
    ],
)
def test_passwords_are_hidden_in_any_text(text: str, shown: str) -> None:
    assert hide_secrets(text) == shown


def test_what_is_known_to_be_secret_is_hidden_where_no_url_stands() -> None:
    remember_secret("p%a ss-word")
    remember_secret("a")  # too short to be told from text
    assert hide_secrets("AUTH p%a ss-word was refused") == "AUTH *** was refused"


async def test_output_that_nobody_reads_any_more_ends_the_command_quietly(roost: RoostCommand, long_log: None) -> None:
    process = await roost.start("log", "--after", "0-0", "--json")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.close()
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]  # the way to close the reading end
    assert await process.stderr.read() == b""
    assert await process.wait() == 141


async def test_ctrl_c_is_a_short_line_and_130(roost: RoostCommand, long_log: None) -> None:
    process = await roost.start("log", "--follow", "--limit", "1", "--json")
    assert process.stdout is not None
    await process.stdout.readline()  # it has begun
    process.send_signal(2)
    _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"roost: interrupted\n")
