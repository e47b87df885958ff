"""Erasing a flock: every key of it, for flocks that were made to be thrown away."""

from __future__ import annotations

from .client import CommandClient
from .keys import Keys
from .scan import scan_keys


async def erase_flock(client: CommandClient, flock: str, *, but: str | None = None) -> int:
    """Remove every key of the flock, `but` one; how many there were. It cannot be undone. Lets Redis errors through."""
    pattern = Keys(flock).prefix.replace(".0}", ".*}") + "*"
    erased = 0
    async for _, page in scan_keys(client, pattern):
        for key in page:
            if but is not None and key == but.encode():
                continue
            erased += int(await client.execute_command("UNLINK", key))
    return erased
