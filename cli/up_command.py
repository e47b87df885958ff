"""`roost up`: makes sure that a server runs."""

from __future__ import annotations

import asyncio

import click

from .command import Command
from .options import Common, common_options


@click.command("up", cls=Command)
@common_options(json=True)
def up(common: Common) -> None:
    """Start Roost's own server, or find that it runs.

    It listens on a socket that only you can open, keeps its data in ROOST_HOME (~/.roost), and stays until `roost
    down`. Commands that need it start it by themselves. With ROOST_URL set, that server is only asked whether it
    answers.
    """
    asyncio.run(_up(common))


async def _up(common: Common) -> None:
    from roost.streams import connect
    from roost.streams.server import remote_status, server_status, start_server

    from .json_lines import dump_safely
    from .terminal import write

    settings = common.settings()
    if settings.url is not None:
        async with await connect(settings.url, connections=1):  # fit for Roost, not only alive
            status = await remote_status(settings.url)
        started = False
    else:
        started = (await start_server(settings.home)).started
        status = await server_status(settings.home)
    if common.json:
        facts = {"started": started, "url": status.url, "kind": status.kind, "version": status.version}
        write(dump_safely(facts | {"pid": status.pid, "home": settings.home if settings.url is None else None}))
        return
    server = f"{status.kind} {status.version} at {status.url}"
    if settings.url is not None:
        write(f"{server} answers; it is not Roost's own, there is nothing to start")
        return
    write(
        f"{'started' if started else 'runs already:'} {server}",
        f"process {status.pid}, data in {settings.home}; `roost down` stops it, its data stays",
    )
