"""Identities of traces and spans that can be told from the log alone: of a run, and of an attempt at a delivery."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=1024)
def trace_of(run: str) -> int:
    """The trace of a run that began in no other trace."""
    return _number("trace", run, size=16)


def root_of(run: str) -> int:
    """The span of the run itself: whoever goes on with a run whose conductor was killed ends it in its place."""
    return _number("run", run, size=8)


def attempt_of(event: str, inbox: str, entry: str, count: int) -> int:
    """The span of one attempt to handle a delivery. Whoever takes it over can name the span of the one who died."""
    return _number("attempt", event, inbox, entry, count, size=8)


def _number(*parts: str | int, size: int) -> int:
    digest = blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=size).digest()
    return int.from_bytes(digest) or 1  # zero stands for none
