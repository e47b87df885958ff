"""Contents by their digests, wherever they are: in the server, or in the archive of a log that was trimmed."""

from __future__ import annotations

from collections.abc import Sequence

from .log import read_horizon
from .shard import Shard


async def find_content(shards: Sequence[Shard], digest: str) -> bytes | None:
    """None when nobody has it any more: it was forgotten. Raises ServerUnavailable, and the errors of an archive."""
    for shard in shards:
        raw: bytes | None = await shard.command("GET", shard.keys.key("blob", digest))
        if raw is None and await read_horizon(shard) is not None:
            from .archive.shelf import open_shelf

            shelf, _ = await open_shelf(shard)
            raw = await shelf.blob(digest)
        if raw is not None:
            return raw
    return None
