"""Observations: what a handler was told of the world outside, recorded with its delivery so that it can be replayed."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic_core import PydanticSerializationError, to_json

from roost.streams import LimitExceeded

from .failure import message_of

MAX_OBSERVED = 1000
MAX_OBSERVED_BYTES = 64 * 1024
"""Of one delivery together, as JSON: its record is one event."""
MAX_WHAT = 300
MAX_RESULT_BYTES = 4096
"""Of an effect: of larger ones the record says nothing."""


class Observations:
    """Questions and answers of one attempt, in the order in which they were answered."""

    __slots__ = ("_size", "rows")

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self._size = 0

    def answered(self, what: str, answer: Any) -> Any:
        """Keep what was answered; the answer as it will come back in a replay. Raises LimitExceeded, TypeError."""
        try:
            raw = to_json(answer, inf_nan_mode="strings")
        except (PydanticSerializationError, UnicodeEncodeError) as error:
            raise TypeError(f"what is observed is recorded as JSON, and {what!r} cannot be: {error}") from None
        self._add(len(raw), [what, orjson.Fragment(raw)])
        return orjson.loads(raw)

    def failed(self, what: str, error: Exception) -> None:
        """Keep that it was answered by an error. Raises LimitExceeded."""
        told = {"error": type(error).__name__, "message": message_of(error)}
        self._add(len(told["message"]), [what, None, told])

    def settled(self, effect: str, raw: bytes) -> None:
        """Keep what an outside effect has answered, if there is room: the log has its outcome in any case."""
        if len(raw) <= MAX_RESULT_BYTES and self._has_room(len(raw) + len(effect)):
            self._add(len(raw), [f"effect {effect}"[:MAX_WHAT], orjson.Fragment(raw)])

    def _has_room(self, size: int) -> bool:
        return len(self.rows) < MAX_OBSERVED and self._size + size + 100 <= MAX_OBSERVED_BYTES

    def _add(self, size: int, row: list[Any]) -> None:
        size += len(row[0])
        if not self._has_room(size):
            raise LimitExceeded(
                f"a handler observes up to {MAX_OBSERVED:,} things, of {MAX_OBSERVED_BYTES:,} bytes together: "
                "keep what is large as a note (ctx.memory.once)"
            )
        self._size += size + 100
        self.rows.append(row)


def check_what(what: str) -> str:
    """The name of something that is observed. Raises LimitExceeded."""
    if not 0 < len(what) <= MAX_WHAT:
        raise LimitExceeded(f"name what is observed in 1 to {MAX_WHAT} characters, not {len(what)}")
    return what
