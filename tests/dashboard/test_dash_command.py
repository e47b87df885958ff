"""`roost dash`: where it listens, to whom, and how it ends."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import pytest
from roost_tests.command import RoostCommand
from roost_tests.served_page import ServedPage

from roost.cli.command import CommonOption
from roost.cli.dash_command import dash
from roost.dashboard.serving import streamlit_settings

Serve = Callable[..., Awaitable[ServedPage]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_where_the_page_is_and_ends_quietly(
    serve_page: Serve, roost: RoostCommand, flock_name: str, number: signal.Signals
) -> None:
    served = await serve_page(roost)
    assert served.url.startswith("http://127.0.0.1:")
    assert await served.end(number) == 0
    assert re.fullmatch(rf"{served.url}/\?token=\S{{32}}", served.write_link or "")
    assert served.lines == [
        f"roost: to start runs, retry and drop from the page: {served.write_link}",
        f"roost: flock {flock_name} is on {served.url}; Ctrl-C ends it",
        "roost: stopped",
    ]


async def test_a_port_that_is_in_use_is_one_line(roost: RoostCommand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = await roost("dash", "--port", str(port))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"roost: port {port} is in use; choose another with --port, or 0 for any free one\n"


@pytest.mark.parametrize("host", ["192.0.2.7", "no.such.host.invalid"])
async def test_an_address_of_another_machine_is_one_line(roost: RoostCommand, host: str) -> None:
    ran = await roost("dash", "--port", "0", "--host", host)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "--host" in ran.err


async def test_without_streamlit_it_says_what_to_install(roost: RoostCommand, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['streamlit'] = None\n")
    ran = await roost("dash", PYTHONPATH=str(tmp_path))
    told = 'roost: the page needs Streamlit: pip install ".[dash]" where Roost was installed from\n'
    assert (ran.code, ran.out, ran.err) == (1, "", told)


async def test_a_server_that_is_not_there_is_one_line(roost: RoostCommand, tmp_path: Path) -> None:
    ran = await roost("dash", "--port", "0", "--url", f"unix://{tmp_path}/none.sock")
    assert ran.code == 1
    assert ran.err.count("\n") == 1


async def test_help_tells_of_the_common_options(roost: RoostCommand) -> None:
    ran = await roost("dash", "--help")
    assert ran.code == 0
    assert all(
        option in ran.out for option in ("--host", "--port", "--open", "--read-only", "--url", "--flock", "--debug")
    )


def test_the_page_about_it_names_its_options() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "dashboard.md").read_text("utf-8")
    named = set(re.findall(r"^\| `(--[a-z-]+)`", text, re.MULTILINE))
    own = [each for each in dash.params if isinstance(each, click.Option) and not isinstance(each, CommonOption)]
    assert named == {option for each in own for option in each.opts}


async def test_every_setting_is_one_that_streamlit_has(roost: RoostCommand) -> None:
    names = [name.replace("_", ".") for name in streamlit_settings("127.0.0.1", 1)]
    script = "import sys; from streamlit import config; [config.get_option(name) for name in sys.argv[1:]]"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, *names)
    assert await process.wait() == 0


async def shake_hands(served: ServedPage, *headers: str) -> int:
    """The status with which the server answers a WebSocket of a page of these headers."""
    port = int(served.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [
        "GET /_stcore/stream HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *headers, "", "",
    ]  # fmt: skip
    writer.write("\r\n".join(lines).encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    await writer.wait_closed()
    return status


async def test_pages_of_other_origins_and_names_are_not_let_in(serve_page: Serve, roost: RoostCommand) -> None:
    served = await serve_page(roost)
    host = served.url.removeprefix("http://")
    assert await shake_hands(served, f"Host: {host}", f"Origin: {served.url}") == 101
    assert await shake_hands(served, f"Host: {host}", "Origin: http://evil.example") in (400, 403)
    assert await shake_hands(served, "Host: evil.example", "Origin: http://evil.example") in (400, 403)
