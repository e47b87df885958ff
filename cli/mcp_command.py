"""`roost mcp`: offers the memory to agents that speak the Model Context Protocol."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import secrets
import signal
import sys
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.adapters.mcp import Surface

HOST = "127.0.0.1"
PORT = 7667
PATIENCE = timedelta(seconds=10)
"""A client waits for each answer: it should hear soon that the server is away."""
LONGEST_TTL = 1_000_000_000
SHORTEST_TOKEN = 16
MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Http:
    """Where to listen, and who is let in."""

    host: str
    port: int
    token: str | None
    names: tuple[str, ...]


def _check_name(ctx: click.Context, param: click.Parameter, name: str | None) -> str | None:
    if name is not None and not (name.isprintable() and 0 < len(name) <= MAX_NAME and not set(name) & {" ", ","}):
        raise click.BadParameter(f"a name has 1 to {MAX_NAME} printable characters, without spaces and commas")
    return name


@click.command("mcp", cls=Command)
@click.option("--agent", metavar="NAME", callback=_check_name,
              help="Who the client is [default: its own name and some digits].")  # fmt: skip
@click.option("--run", metavar="RUN", callback=_check_name, help="The run that its notes and reads belong to.")
@click.option("--ttl", metavar="SECONDS", type=click.FloatRange(0, LONGEST_TTL, min_open=True),
              help="How long notes live that do not say [default: 30 days].")  # fmt: skip
@click.option("--http", is_flag=True, help="Listen for clients, instead of serving one by standard input and output.")
@click.option("--host", metavar="HOST", default=HOST, show_default=True, help="With --http: where to listen.")
@click.option("--port", metavar="N", type=click.IntRange(0, 65_535), default=PORT, show_default=True,
              help="With --http: the port; 0 is any free one.")  # fmt: skip
@click.option("--token", metavar="TOKEN", envvar="ROOST_MCP_TOKEN",
              help="With --http: what clients must show, instead of ROOST_MCP_TOKEN [default: a new one].")  # fmt: skip
@click.option("--allow-host", metavar="NAME", multiple=True,
              help="With --http: a name of this machine that clients use; may be repeated.")  # fmt: skip
@click.option("--silence", metavar="SECONDS", type=click.FloatRange(1, 86_400), default=600, show_default=True,
              help="With --http: a client that is silent for so long loses its claims.")  # fmt: skip
@click.option("--lease", metavar="SECONDS", type=click.FloatRange(0.5, 600), default=10, show_default=True,
              help="When this process is killed, its claims end after so long.")  # fmt: skip
@common_options(traced=True)
def mcp(
    common: Common, agent: str | None, run: str | None, ttl: float | None, http: bool, host: str, port: int,
    token: str | None, allow_host: tuple[str, ...], silence: float, lease: float,
) -> int:  # fmt: skip
    """Let agents in any MCP client share the flock's memory.

    By standard input and output for one client, which starts this command itself; with --http for many, which send the
    token. They get tools to remember, recall, search, claim and complete work, and notes as resources.
    """
    from roost.streams import SettingsError

    if find_spec("mcp") is None:
        raise SettingsError(
            'roost mcp needs the Model Context Protocol\'s package: pip install ".[mcp]" where Roost was installed from'
        )
    listens = Http(host, port, token, allow_host) if http else None
    if listens is not None:
        _check(listens)
    elif (host, port, allow_host) != (HOST, PORT, ()):
        raise click.UsageError("--host, --port and --allow-host need --http")
    _keep_content_from_logs()
    options = {"agent": agent, "run": run}
    return asyncio.run(_serve(common, listens, options, ttl, timedelta(seconds=silence), timedelta(seconds=lease)))


def _keep_content_from_logs() -> None:
    """At their most talkative these libraries log whole messages, and with them what notes hold."""
    level = max(logging.INFO, logging.getLogger().level)
    for name in ("mcp", "sse_starlette", "uvicorn"):
        logging.getLogger(name).setLevel(level)


def _check(http: Http) -> None:
    from roost.streams import SettingsError

    if http.token is not None and (len(http.token) < SHORTEST_TOKEN or not http.token.isascii() or " " in http.token):
        raise SettingsError(f"a token has at least {SHORTEST_TOKEN} ASCII characters and no spaces (--token)")
    if http.token is None and not is_loopback(http.host):
        raise SettingsError(f"others can reach {http.host}: choose a token for them (--token or ROOST_MCP_TOKEN)")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


async def _serve(
    common: Common, http: Http | None, options: dict[str, str | None], ttl: float | None, silence: timedelta,
    lease: timedelta,
) -> int:  # fmt: skip
    from roost.actors import Flock
    from roost.actors.memory import DEFAULT_TTL
    from roost.adapters.mcp import Surface

    from .failure import tell

    settings = common.settings()
    async with common.connect(settings):
        pass  # starts Roost's own server if need be, and says so
    stop = _signals()
    opened = Flock.open(
        settings.flock, settings.url, home=settings.home, agent="mcp", claim_lease=lease, patience=PATIENCE, shards=1,
        ttl=DEFAULT_TTL if ttl is None else timedelta(seconds=ttl),
    )  # fmt: skip
    async with opened as flock, Surface.open(flock, **options, silence=silence) as surface:
        if http is None:
            await _serve_stdio(surface, stop)
        else:
            await _serve_http(surface, http, stop)
    if stop.done():
        tell("stopped")
        os._exit(0)  # a thread still waits for standard input, and Python would wait for that thread
    return 0


def _signals() -> asyncio.Future[int]:
    """The first signal that asks this process to end."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[int] = loop.create_future()

    def take(number: int) -> None:
        if stop.done():  # it is ending: whoever asks again does not want to wait
            os._exit(128 + number)
        stop.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, take, number)
    return stop


async def _serve_stdio(surface: Surface, stop: asyncio.Future[int]) -> None:
    from roost.adapters.mcp import serve_stdio

    from .failure import tell

    if sys.stdin.isatty():
        tell("this waits for a client on standard input, as MCP clients start it; --http listens; Ctrl-C ends it")
    serving = asyncio.create_task(serve_stdio(surface))
    await _first(serving, stop)
    if serving.done():
        serving.result()


async def _first(*these: asyncio.Future[Any]) -> None:
    await asyncio.wait(these, return_when=asyncio.FIRST_COMPLETED)


async def _serve_http(surface: Surface, http: Http, stop: asyncio.Future[int]) -> None:
    from roost.adapters.mcp import PATH, HttpServer, listen, names_of

    from .failure import remember_secret, tell

    token = http.token or secrets.token_urlsafe(24)
    names = [*names_of(http.host), *http.names]
    with contextlib.closing(listen(http.host, http.port)) as sock:
        tell(f"agents can reach the flock at http://{names[0]}:{sock.getsockname()[1]}{PATH}; Ctrl-C ends it")
        if http.token is None:
            tell(f"their token, until this ends: {token}")
        remember_secret(token)
        server = HttpServer(surface, token, names=names)
        serving = asyncio.create_task(server.serve([sock]))
        await _first(serving, stop)
        server.should_exit = True
        await serving
