"""The command `roost mcp`: its options, who is let in over HTTP, and what it says when it cannot begin."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import click
import httpx2
import pytest
from roost_tests.command import Ran, RoostCommand
from roost_tests.mcp_clients import MODES, TOKEN, Household, HttpHost
from roost_tests.ports import free_port

from roost.adapters.mcp import names_of
from roost.cli.command import CommonOption
from roost.cli.main import main
from roost.cli.mcp_command import is_loopback, mcp

DOCS = Path(__file__).parents[2] / "docs"
ACCEPT = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "by hand", "version": "1"}},
}


@pytest.fixture
def environment(tmp_path: Path, server_url: str, flock_name: str) -> dict[str, str]:
    return {"ROOST_URL": server_url, "ROOST_FLOCK": flock_name, "HOME": str(tmp_path)}


@pytest.fixture
def roost(tmp_path: Path, environment: dict[str, str]) -> RoostCommand:
    return RoostCommand(tmp_path, **environment)


@pytest.fixture
async def host(tmp_path: Path, environment: dict[str, str]) -> AsyncGenerator[HttpHost]:
    async with Household(tmp_path, environment).http() as host:
        yield host


async def test_over_http_nobody_is_let_in_without_the_token_nor_from_a_foreign_page(host: HttpHost) -> None:
    token = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(headers=ACCEPT) as client:

        async def status(**headers: str) -> int:
            return (await client.post(host.url, json=INITIALIZE, headers=headers)).status_code

        refused = await client.post(host.url, json=INITIALIZE)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        for wrong in ("Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"):
            assert await status(Authorization=wrong) == 401
        assert await status(**token, Origin="http://example.com") == 403
        assert await status(**token, Host="example.com") == 421
        assert await status(**token, Origin="http://localhost:3000") == 200
        assert await status(**token) == 200
        assert (await client.get(host.url.removesuffix("/mcp") + "/", headers=token)).status_code == 404
        assert (await client.post(host.url, content=b"x" * 9_000_000, headers=token)).status_code == 413
        assert (await client.post(host.url, content=b"no JSON", headers=token)).status_code == 400
    shown = "\n".join(host.lines)
    assert TOKEN not in shown


async def test_without_a_token_of_the_user_s_a_new_one_is_made_and_said_once(roost: RoostCommand) -> None:
    process = await roost.start("mcp", "--http", "--port", "0")
    assert process.stderr is not None
    said = [(await asyncio.wait_for(process.stderr.readline(), 30)).decode() for _ in range(2)]
    process.terminate()
    out, err = await process.communicate()
    url, token = said[0].partition(" at ")[2].partition(";")[0], said[1].rpartition(": ")[2].strip()
    assert url.startswith("http://127.0.0.1:")
    assert len(token) >= 32
    assert token not in err.decode()
    assert (process.returncode, out) == (0, b"")


@pytest.mark.parametrize("mode", MODES)
async def test_the_most_talkative_log_holds_no_content(mode: str, tmp_path: Path, environment: dict[str, str]) -> None:
    household = Household(tmp_path, environment)
    async with household.http("-vv") as host, host.join(mode=mode) as far, household.stdio("-vv", mode=mode) as near:
        for member in (far, near):
            note = await member.call("remember", content="a heron stands in the reeds")
            assert (await member.call("recall", id=note["id"]))["text"] == "a heron stands in the reeds"
    log = "\n".join(host.lines) + (tmp_path / "mcp.log").read_text("utf-8")
    assert log.count('"level":"info"') > 2
    assert "heron" not in log
    assert TOKEN not in log


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--http", "--host", "0.0.0.0"], 2, "others can reach 0.0.0.0: choose a token for them"),
        (["--http", "--token", "short"], 2, "a token has at least 16 ASCII characters and no spaces"),
        (["--http", "--host", "no.such.host.invalid", "--token", "x" * 20], 2, "cannot listen on no.such.host.invalid"),
        (["--host", "0.0.0.0"], 2, "--host, --port and --allow-host need --http"),
        (["--agent", "two words"], 2, "a name has 1 to 64 printable characters"),
        (["--ttl", "0"], 2, "invalid value for '--ttl'"),
        (["--url", "redis://127.0.0.1:{port}"], 1, "127.0.0.1:{port}"),
    ],
)
async def test_what_cannot_be_is_one_line_that_says_why(
    words: list[str], code: int, sentence: str, roost: RoostCommand
) -> None:
    port = str(free_port())
    ran: Ran = await roost("mcp", *[word.replace("{port}", port) for word in words])
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("roost: ")
    assert ran.err.count("\n") == 1
    assert sentence.replace("{port}", port) in ran.err


async def test_a_port_that_is_taken_is_told(roost: RoostCommand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = await roost("mcp", "--http", "--port", str(taken.getsockname()[1]))
    assert ran.code == 2
    assert "already in use" in ran.err
    assert ran.err.count("\n") == 1


async def test_whoever_starts_it_by_hand_is_told_what_it_waits_for(roost: RoostCommand) -> None:
    ran = await roost.on_terminal("mcp", interrupt_at="Ctrl-C ends it")
    assert ran.code == 0
    assert ran.out.splitlines()[0].startswith("roost: this waits for a client on standard input")
    assert ran.out.splitlines()[-1] == "roost: stopped"


def test_every_option_is_told() -> None:
    told = re.findall(r"`(--[a-z-]+)", (DOCS / "mcp.md").read_text("utf-8").partition("\n## Options\n")[2])
    own = [each for each in mcp.params if isinstance(each, click.Option) and not isinstance(each, CommonOption)]
    assert set(told) == {name for option in own for name in option.opts}


def test_a_machine_that_listens_on_all_its_addresses_is_called_by_each() -> None:
    assert socket.gethostname() in names_of("0.0.0.0")
    assert (names_of("flock.example.com"), names_of("::1")) == (["flock.example.com"], ["[::1]"])
    assert [is_loopback(host) for host in ("localhost", "127.0.0.9", "::1", "0.0.0.0", "example.com")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(SystemExit) as ended:
        main(["mcp"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "roost: roost mcp needs the Model Context Protocol's package: "
        'pip install ".[mcp]" where Roost was installed from\n'
    )
