"""Contents by their digests, wherever they are: in the server, or in the archive of a log that was trimmed."""

from __future__ import annotations

from collections.abc import Sequence

from .encryption.sealed import Head
from .log import read_horizon
from .shard import Shard

LEAST = 16
"""Bytes by which sealed content is known."""
MOST_OPENED = 16 * 1024 * 1024
"""Bytes of a sealed content of which the beginning is looked at: it is opened as a whole or not at all."""


async def beginning_of(shard: Shard, digest: str, most: int) -> bytes:
    """The first bytes of a content that the server has, opened where it is sealed; none of what can be read no more,
    or is sealed and over 16 MiB. For people, who do not wait for the rest. Raises ServerUnavailable."""
    key = shard.keys.key("blob", digest)
    stored: bytes = await shard.command("GETRANGE", key, 0, max(0, most, LEAST) - 1)
    if Head.begins(stored):
        if int(await shard.command("STRLEN", key)) > MOST_OPENED:
            return b""
        stored = await shard.keyholder.opened(await shard.command("GET", key) or b"") or b""
    return stored[: max(0, most)]


async def find_opened(shards: Sequence[Shard], digest: str) -> bytes | None:
    """As `find_content`; what is sealed, opened. None as well for what is about somebody who was forgotten."""
    stored = await find_content(shards, digest)
    return None if stored is None else await shards[0].keyholder.opened(stored)


async def find_content(shards: Sequence[Shard], digest: str) -> bytes | None:
    """The bytes as they are stored; None when nobody has them any more: they were forgotten.

    Raises ServerUnavailable, and the errors of an archive.
    """
    for shard in shards:
        raw: bytes | None = await shard.command("GET", shard.keys.key("blob", digest))
        if raw is None and await read_horizon(shard) is not None:
            from .archive.shelf import open_shelf

            shelf, _ = await open_shelf(shard)
            raw = await shelf.blob(digest)
        if raw is not None:
            return raw
    return None
