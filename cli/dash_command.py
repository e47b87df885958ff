"""`roost dash`: watch a flock in the browser."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.dashboard import Desk, StartedRuns, Tokens
    from roost.streams import Settings

PORT = 8501
MAX_PORT = 65_535
ANY_ADDRESS = {"0.0.0.0", "::"}


@click.command(cls=Command, short_help="Watch the flock in the browser.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True,
              help="Where to listen. Elsewhere than on this machine alone, who looks needs a token.")  # fmt: skip
@click.option("--port", metavar="N", type=click.IntRange(0, MAX_PORT), default=PORT, show_default=True,
              help="0: any free one.")  # fmt: skip
@click.option("--write/--read-only", "writes", default=None,
              help="Whether who has the write token may retry and drop deliveries, and start runs. "
              "By default on this machine alone.")  # fmt: skip
@click.option("--jaeger", metavar="URL", help="Where Jaeger's pages are, for links; instead of ROOST_JAEGER_URL.")
@click.option("--demo", is_flag=True,
              help="Watch three runs over Python's language reference, with a simulated model.")  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@common_options()
def dash(common: Common, host: str, port: int, writes: bool | None, jaeger: str | None, demo: bool, opens: bool) -> int:
    """Show what the flock does at this moment, and what it did, in the browser, until Ctrl-C.

    Agents and what they compute, notes, runs, reuse and what it saved, what waits and what is in trouble. Looking logs
    nothing. To change something from the page one needs the write token, which stands in the link that is printed.
    """
    from .failure import FAILED, tell

    if find_spec("streamlit") is None:
        tell('the page needs Streamlit: pip install ".[dash]" where Roost was installed from')
        return FAILED
    settings = common.settings(jaeger=jaeger)
    url, shown_url = asyncio.run(_reach(common, settings))
    from roost.dashboard import Desk, Feed, Tokens, bind, is_shared
    from roost.otel.span_links import SpanLinks

    shared = is_shared(host)
    tokens = Tokens.make(
        shared=shared,
        writes=not shared if writes is None else writes,
        read=settings.page_token,
        write=settings.page_write_token,
    )
    listening = bind(host, port)
    from .dash_demo import begin_demo, started_runs

    if demo:
        settings, started = asyncio.run(begin_demo(common, settings))
    else:
        started = started_runs(settings)
    links = SpanLinks(settings.jaeger)
    desk = Desk(Feed(url, settings.flock, shown_url=shown_url, links=links), settings, url, links)
    _serve(desk, started, listening, host, tokens, opens)
    return 0


async def _reach(common: Common, settings: Settings) -> tuple[str, str]:
    """The server's URL, as it is and as people may see it."""
    async with common.connect(settings) as connection:
        return connection.url, connection.shown_url


def _serve(desk: Desk, started: StartedRuns, listening: socket.socket, host: str, tokens: Tokens, opens: bool) -> None:
    from roost.dashboard import serve_page, show_desk, show_started

    from .failure import tell

    def leave(number: int, _: object) -> None:
        started.close()
        tell("stopped")
        os._exit(0)  # nothing else is open but what is read

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)  # until the page listens for them, whose start they would tear apart
    desk.feed.start()
    desk.start()
    show_desk(desk)
    show_started(started)
    page = _page_of(host, int(listening.getsockname()[1]))
    try:
        serve_page(listening, host, tokens, _announcing(page, desk, tokens, opens))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # it ends already
        started.close()
        desk.close()
        desk.feed.close()
    tell("stopped")


def _page_of(host: str, port: int) -> str:
    if host in ANY_ADDRESS:
        host = socket.gethostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _announcing(page: str, desk: Desk, tokens: Tokens, opens: bool) -> Callable[[], None]:
    """Says where the page is, when it is there: its last line tells that."""
    from .failure import tell

    settings = desk.settings
    write = _link(page, tokens.write, "ROOST_DASH_WRITE_TOKEN" if settings.page_write_token else "")
    read = _link(page, tokens.read, "ROOST_DASH_TOKEN" if settings.page_token else "")

    def announce() -> None:
        if tokens.read is not None:
            tell("tokens travel as they are: where others can listen, put what speaks HTTPS in front of the page")
        if tokens.write is not None:
            tell(f"to start runs, retry and drop from the page: {write}")
        tell(f"flock {desk.flock} is on {read}; Ctrl-C ends it")
        if opens:
            import webbrowser

            if not webbrowser.open((write if tokens.write is not None else read).partition(" ")[0]):
                tell("there is no browser here to open it in")

    return announce


def _link(page: str, token: str | None, variable: str) -> str:
    """What leads into the page. A token that stands in a variable is not shown."""
    if token is None:
        return page
    return f"{page} with the token in {variable}" if variable else f"{page}/?token={token}"
