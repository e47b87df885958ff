"""`roost down`: stops Roost's own server."""

from __future__ import annotations

import asyncio

import click

from .command import Command
from .options import Common, common_options


@click.command("down", cls=Command)
@common_options(json=True)
def down(common: Common) -> None:
    """Stop Roost's own server. Its data stays and is there again with the next start.

    A server that ROOST_URL names is not Roost's to stop.
    """
    asyncio.run(_down(common))


async def _down(common: Common) -> None:
    from roost.streams import RoostError
    from roost.streams.server import StopResult, server_status, stop_server

    from .json_lines import dump_safely
    from .terminal import write

    settings = common.settings()
    if settings.url is not None:
        raise RoostError(
            f"{settings.shown_url} is not Roost's own server: stop it where it was started, "
            "or unset ROOST_URL to stop Roost's own"
        )
    result = await stop_server(settings.home)
    if result is StopResult.STUCK:
        pid = (await server_status(settings.home)).pid
        raise RoostError(f"the server of {settings.home} (process {pid}) does not end; end that process: kill {pid}")
    stopped = result is StopResult.STOPPED
    if common.json:
        write(dump_safely({"stopped": stopped, "home": settings.home}))
    elif stopped:
        write(f"stopped the server; its data stays in {settings.home}")
    else:
        write(f"no server runs in {settings.home}; there is nothing to stop")
