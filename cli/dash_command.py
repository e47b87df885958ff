"""`roost dash`: watch a flock in the browser."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from .command import Command
from .options import Common, common_options

if TYPE_CHECKING:
    from roost.streams import Settings

PORT = 8501
MAX_PORT = 65_535
START_S = 60


@click.command(cls=Command, short_help="Watch the flock in the browser.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True,
              help="Where to listen: an address of this machine's own, 127.0.0.1 or ::1.")  # fmt: skip
@click.option("--port", metavar="N", type=click.IntRange(0, MAX_PORT), default=PORT, show_default=True,
              help="0: any free one.")  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@common_options()
def dash(common: Common, host: str, port: int, opens: bool) -> int:
    """Show what the flock does at this moment, on a page for this machine's browser, until Ctrl-C.

    Agents and what they compute, notes as they are written, reuse between them, calls and cost made and saved. It only
    looks: nothing is logged, and nothing can be changed from it.
    """
    from .failure import FAILED, tell

    if find_spec("streamlit") is None:
        tell('the page needs Streamlit: pip install ".[dash]" where Roost was installed from')
        return FAILED
    settings = common.settings()
    url, shown_url = asyncio.run(_reach(common, settings))
    _serve(settings.flock, url, shown_url, host, port, opens)
    return 0


async def _reach(common: Common, settings: Settings) -> tuple[str, str]:
    """The server's URL, as it is and as people may see it."""
    async with common.connect(settings) as connection:
        return connection.url, connection.shown_url


def _serve(flock: str, url: str, shown_url: str, host: str, port: int, opens: bool) -> None:
    from roost.dashboard import Feed, choose_port, serve_page, show_feed

    from .failure import tell

    port = choose_port(host, port)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)  # until Streamlit listens for them, whose start they would tear apart
    feed = Feed(url, flock, shown_url=shown_url)
    feed.start()
    show_feed(feed)
    page = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    threading.Thread(target=_announce, args=(page, opens, flock), name="roost announce", daemon=True).start()
    try:
        serve_page(host, port)
    finally:
        feed.close()
    tell("stopped")


def _leave(number: int, _: object) -> None:
    from .failure import tell

    tell("stopped")
    os._exit(0)  # nothing is open but what is read


def _announce(page: str, opens: bool, flock: str) -> None:
    """Say where the page is when it is there: that is when Streamlit listens for signals."""
    from .failure import tell

    deadline = time.monotonic() + START_S
    while signal.getsignal(signal.SIGTERM) is _leave and time.monotonic() < deadline:
        time.sleep(0.02)
    tell(f"flock {flock} is on {page}; Ctrl-C ends it")
    if opens:
        import webbrowser

        if not webbrowser.open(page):
            tell("there is no browser here to open it in")
