"""Contents as messages: in chunks, under the shard that has the content and its digest, so that compaction keeps one
copy of each. A content that two shards have is there twice, as on the server: each of them forgets its own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .message import Message, NotMirrored

CHUNK_BYTES = 512 * 1024
DIGEST_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """One of a content's parts, counted from 0. `value` None: the content was forgotten. `size` and `chunks` are of the
    whole content, 0 where it was forgotten."""

    shard: int
    digest: str
    number: int
    value: bytes | None
    size: int
    chunks: int


def chunks_of(shard: int, digest: str, content: bytes) -> Iterator[Message]:
    """The messages of a content; an empty one has one chunk, too."""
    count = count_of(len(content))
    now = time.time_ns() // 1_000_000
    for number in range(count):
        headers = [
            ("digest", digest.encode()),
            ("size", b"%d" % len(content)),
            ("chunk", b"%d" % number),
            ("chunks", b"%d" % count),
        ]
        part = content[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        yield Message(f"{shard}/{digest}/{number}".encode(), part, headers, now)


def tombstones_of(shard: int, digest: str, size: int) -> Iterator[Message]:
    """Messages with which a content of that size is forgotten: compaction takes its chunks away, and at last these."""
    now = time.time_ns() // 1_000_000
    for number in range(count_of(size)):
        yield Message(f"{shard}/{digest}/{number}".encode(), None, [("digest", digest.encode())], now)


def count_of(size: int) -> int:
    """How many chunks a content of that size has."""
    return max(1, -(-size // CHUNK_BYTES))


def chunk_in(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Chunk:
    """The chunk that a message holds. Raises NotMirrored."""
    told = dict(headers)
    try:
        shard, digest, number = (key or b"").decode().split("/")
        if len(digest) != DIGEST_LENGTH or not digest.isalnum():
            raise ValueError(key)
        if value is None:
            return Chunk(int(shard), digest, int(number), None, 0, 0)
        return Chunk(int(shard), digest, int(number), value, int(told["size"]), int(told["chunks"]))
    except (ValueError, KeyError) as error:
        raise NotMirrored(f"a message is no part of a content: {error!r}") from error
