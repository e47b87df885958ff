"""An answer as a note keeps it: the way HTTP sent it, status line, headers, blank line, body."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import httpx2

STATUS_LINE = b"HTTP/1.1 200 OK"

KEPT_HEADERS = ("content-type", "x-request-id", "openai-model", "openai-processing-ms", "openai-version")
"""Of the others, some are about the connection, some about the account at that moment (what is left of its limits)."""

EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A whole answer with status 200. `body` is as the provider sent it, after decompression."""

    headers: tuple[tuple[str, str], ...]
    body: bytes

    @classmethod
    def of(cls, response: httpx2.Response, body: bytes) -> KeptAnswer:
        named = ((name, response.headers.get(name)) for name in KEPT_HEADERS)
        return cls(tuple((name, value) for name, value in named if value is not None), body)

    @classmethod
    def from_raw(cls, raw: bytes) -> KeptAnswer:
        """From a note's stored bytes. Raises ValueError when they are no such answer."""
        head, blank, body = raw.partition(b"\n\n")
        status, *lines = head.split(b"\n")
        if not blank or status != STATUS_LINE:
            raise ValueError("the note does not hold an answer of a provider")
        return cls(tuple(_split(lines)), body)

    def to_content(self) -> str | bytes:
        """The note's content: text, unless the provider sent something else."""
        lines = [STATUS_LINE, *(f"{name}: {value}".encode() for name, value in self.headers)]
        raw = b"\n".join(lines) + b"\n\n" + self.body
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw

    @property
    def is_stream(self) -> bool:
        return is_event_stream(dict(self.headers).get("content-type", ""))


def is_event_stream(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == EVENT_STREAM


def _split(lines: Iterable[bytes]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, _, value = line.decode().partition(": ")
        yield name, value
