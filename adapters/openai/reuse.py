"""What tells that an answer was reused: headers, a member of the body, and a usage of zero: nobody counts it twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import httpx2
import orjson
from pydantic import BaseModel

from .endpoint import Endpoint

How = Literal["computed", "joined", "found"]

REUSE_HEADER = "roost-reuse"
NOTE_HEADER = "roost-note"
MEMBER = "roost"
ATTRIBUTE = "_roost"
EXTENSION = "roost"
"""Where a response carries its `Reuse`: that of a live stream is complete only when the stream has ended."""


@dataclass(slots=True)
class Reuse:
    """How an answer came about: `computed` (the provider was asked for it just now), `joined` (somebody else asked at
    that moment), or `found`. `note` is the ID of the note that keeps it; None for an answer that was not kept, and
    while a stream goes on. `usage` is what the provider counted when it made the answer.
    """

    how: How
    note: str | None = None
    usage: Mapping[str, Any] | None = None

    @property
    def is_reused(self) -> bool:
        return self.how != "computed"

    def to_headers(self) -> dict[str, str]:
        return {REUSE_HEADER: self.how} | ({} if self.note is None else {NOTE_HEADER: self.note})


def reuse_of(answer: object) -> Reuse | None:
    """How this answer came about: of a completion, response or embedding, a stream, or a raw response of the client.

    None when Roost had no part in it.
    """
    attached = getattr(answer, ATTRIBUTE, None)
    if isinstance(attached, Reuse):
        return attached
    response = _response_of(answer)
    if response is not None:
        found: object = response.extensions.get(EXTENSION)
        return found if isinstance(found, Reuse) else None
    told = getattr(answer, MEMBER, None)
    if not isinstance(told, dict):
        return None
    facts = cast("dict[str, Any]", told)
    return Reuse(facts["reuse"], facts.get("note"), facts.get("usage"))


def attach(answer: object, response: httpx2.Response) -> None:
    """Let a parsed answer know how it came about, beside its fields, as the client does with the request's ID."""
    reuse: object = response.extensions.get(EXTENSION)
    if isinstance(reuse, Reuse) and isinstance(answer, BaseModel):
        setattr(answer, ATTRIBUTE, reuse)


def _response_of(answer: object) -> httpx2.Response | None:
    """The client's streams and raw responses hold the HTTP response under one of these names."""
    for holder in (answer, getattr(answer, "_raw_stream", None)):
        for found in (holder, *(getattr(holder, name, None) for name in ("http_response", "response", "_response"))):
            if isinstance(found, httpx2.Response):
                return found
    return None


def mark(endpoint: Endpoint, body: bytes, reuse: Reuse, *, stream: bool) -> bytes:
    """The body with its usage set to zero, and what it was beside it; `reuse` takes that, too. A stream that tells no
    usage stays as it is, byte for byte.
    """
    if not stream:
        document = orjson.loads(body)
        _take_usage(document, reuse)
        return orjson.dumps(document)
    lines = body.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.startswith(b"data:") and b'"usage"' in line:
            text = line.rstrip(b"\r\n")
            lines[number] = (_mark_event(endpoint, text[5:], reuse) or text) + line[len(text) :]
    return b"".join(lines)


def _mark_event(endpoint: Endpoint, data: bytes, reuse: Reuse) -> bytes | None:
    """None for an event that tells no usage."""
    try:
        event: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    found = cast("dict[str, Any]", event) if isinstance(event, dict) else {}
    place: object = found.get("response") if endpoint is Endpoint.RESPONSES else found
    if not isinstance(place, dict):
        return None
    answer = cast("dict[str, Any]", place)
    if not isinstance(answer.get("usage"), dict):
        return None
    _take_usage(answer, reuse)
    return b"data: " + orjson.dumps(event)


def _take_usage(answer: dict[str, Any], reuse: Reuse) -> None:
    usage: object = answer.get("usage")
    if isinstance(usage, dict):
        reuse.usage = cast("dict[str, Any]", usage)
        answer["usage"] = _zero(reuse.usage)
    answer[MEMBER] = {"reuse": reuse.how, "note": reuse.note, "usage": reuse.usage}


def _zero(counted: Any) -> Any:
    """The same with 0 for each number; details that are not counted stay null."""
    if isinstance(counted, dict):
        return {name: _zero(value) for name, value in cast("dict[str, Any]", counted).items()}
    if isinstance(counted, list):
        return [_zero(value) for value in cast("list[object]", counted)]
    return 0 if isinstance(counted, int | float) and not isinstance(counted, bool) else counted
