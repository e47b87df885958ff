"""A line of a segment: an event as JSON that other programs read, and from which its bytes can be made again."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import orjson

from ..errors import RoostError
from ..event import pairs

ORDER = (b"type", b"subject", b"ver", b"meta", b"data")
META = ("id", "time", "schema", "actor", "run", "cause", "traceparent")

Entry = tuple[bytes, Any]


class DamagedLine(RoostError):
    """A line of a segment is none."""


def line_of(entry: Entry) -> bytes:
    """An entry of the log as a line, without the line feed.

    What its members cannot tell byte for byte (JSON that Roost would write otherwise, bytes that are no text, fields of
    others) stands beside them: `meta_raw` and `data_raw` as text, or everything, as base64, in `raw`.
    """
    name, fields = entry
    stored = pairs(fields)
    place = name.decode()
    try:
        if tuple(stored)[:5] != ORDER or tuple(stored)[5:] not in ((), (b"prev",)):
            raise ValueError
        version, meta = int(stored[b"ver"]), orjson.loads(stored[b"meta"])
        line: dict[str, Any] = {
            "position": place,
            "type": stored[b"type"].decode(),
            "subject": stored[b"subject"].decode(),
            "version": version,
            **{member: meta.get(member) for member in META},
            "data": orjson.loads(stored[b"data"]),
        }
        if b"prev" in stored:
            line["prev"] = stored[b"prev"].decode()
        if orjson.dumps(_meta_of(line)) != stored[b"meta"]:
            line["meta_raw"] = stored[b"meta"].decode()
        if orjson.dumps(line["data"]) != stored[b"data"]:
            line["data_raw"] = stored[b"data"].decode()
        if str(version).encode() != stored[b"ver"]:
            raise ValueError
        return orjson.dumps(line)
    except (ValueError, TypeError, AttributeError, KeyError):
        listed = [[b64encode(key).decode(), b64encode(value).decode()] for key, value in stored.items()]
        kind = stored.get(b"type", b"").decode(errors="replace")
        return orjson.dumps({"position": place, "type": kind, "raw": listed})


def entry_of(line: bytes) -> Entry:
    """The entry that `line_of` made that line of. Raises DamagedLine."""
    try:
        told = orjson.loads(line)
        name = told["position"].encode()
        if "raw" in told:
            return name, {b64decode(key): b64decode(value) for key, value in told["raw"]}
        fields = {
            b"type": told["type"].encode(),
            b"subject": told["subject"].encode(),
            b"ver": b"%d" % told["version"],
            b"meta": told["meta_raw"].encode() if "meta_raw" in told else orjson.dumps(_meta_of(told)),
            b"data": told["data_raw"].encode() if "data_raw" in told else orjson.dumps(told["data"]),
        }
        if "prev" in told:
            fields[b"prev"] = told["prev"].encode()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedLine(f"a line of the archive is not an event: {error!r}") from error
    return name, fields


def _meta_of(line: dict[str, Any]) -> dict[str, Any]:
    """As an event writes it: what is not known is left out."""
    return {member: line[member] for member in META if line[member] is not None}
