"""The command `roost mcp`: its options, who is let in over HTTP, and what it says when it cannot begin."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest
from roost_tests.bare_server import free_port
from roost_tests.command import Ran, RoostCommand
from roost_tests.mcp_clients import TOKEN, Household, HttpHost

from roost.cli.main import main

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


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--http", "--host", "0.0.0.0"], 2, "others can reach 0.0.0.0: choose a token for them"),
        (["--http", "--token", "short"], 2, "a token has at least 16 ASCII characters and no spaces"),
        (["--http", "--port", "70000"], 2, "invalid value for '--port'"),
        (["--http", "--host", "no.such.host.invalid", "--token", "x" * 20], 2, "cannot listen on no.such.host.invalid"),
        (["--agent", "two words"], 2, "a name has 1 to 64 printable characters"),
        (["--run", ""], 2, "a name has 1 to 64 printable characters"),
        (["--ttl", "0"], 2, "invalid value for '--ttl'"),
        (["--flock", "no/flock"], 2, "cannot name a flock"),
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


def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(SystemExit) as ended:
        main(["mcp"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "roost: roost mcp needs the Model Context Protocol's package: pip install 'roost[mcp]'\n"
    )
