"""An event as a message: a CloudEvent 1.0 in Kafka's binary mode, from which its bytes can be made again."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from ..errors import RoostError

ORDER = (b"type", b"subject", b"ver", b"meta", b"data")
ORDERS = (ORDER, (*ORDER, b"prev"))
META = ("id", "time", "schema", "actor", "run", "cause", "traceparent")
CARRIED = ("actor", "run", "cause")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999: what a time on a message can say."""
ZERO = ord("0")
JSON = b"application/json"

Header = tuple[str, bytes]


class NotMirrored(RoostError):
    """A message of the topic is none that the bridge wrote."""


@dataclass(frozen=True, slots=True)
class Message:
    """As a producer takes it. `value` None: the message of that key is no more."""

    key: bytes
    value: bytes | None
    headers: list[Header]
    time_ms: int

    @property
    def size(self) -> int:
        """Bytes, about."""
        held = len(self.key) + (0 if self.value is None else len(self.value))
        for name, value in self.headers:
            held += len(name) + len(value)
        return held


@dataclass(frozen=True, slots=True)
class Mirrored:
    """An entry of the log that came back; `epoch` is the mirror's. `fields` are those that the log had, without `prev`;
    but of an entry that is no event of Roost's (`is_raw`) all of them."""

    shard: int
    entry: bytes
    fields: dict[bytes, bytes]
    epoch: int
    is_raw: bool = False


def message_of(flock: str, shard: int, epoch: int, entry: bytes, fields: Mapping[bytes, bytes]) -> Message:
    """An entry of a shard's log. What the attributes cannot tell byte for byte stands beside them, in `roost_meta`, or
    for an entry that Roost did not write in `roost_raw`."""
    source, in_shard, in_epoch = _origin(flock, shard, epoch)
    place = [("ce_position", entry), in_shard, in_epoch]
    time_ms = min(int(entry.partition(b"-")[0]), LATEST_MS)
    try:
        if tuple(fields) not in ORDERS:
            raise ValueError
        stored = fields[b"meta"]
        meta = orjson.loads(stored)
        headers: list[Header] = [
            ("ce_specversion", b"1.0"),
            ("ce_id", meta["id"].encode()),
            source,
            ("ce_type", _text(fields[b"type"])),
            ("ce_subject", _text(fields[b"subject"])),
            ("ce_time", _time(meta["time"])),
            ("ce_version", _number(fields[b"ver"])),
            *place,
        ]
        for name in CARRIED:
            if name in meta:
                headers.append((f"ce_{name}", meta[name].encode()))
        if "schema" in meta:
            headers.append(("ce_schema", b"%d" % meta["schema"]))
        if "traceparent" in meta:
            headers.append(("traceparent", meta["traceparent"].encode()))
        headers.append(("content-type", JSON))
        if not (_is_usual(tuple(meta)) and orjson.dumps(meta) == stored):
            headers.append(("roost_meta", stored))
        return Message(fields[b"subject"], fields[b"data"], headers, time_ms)
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError):
        return _raw(entry, fields, source, place, time_ms)


def _raw(entry: bytes, fields: Mapping[bytes, bytes], source: Header, place: list[Header], time_ms: int) -> Message:
    listed = [[b64encode(key).decode(), b64encode(value).decode()] for key, value in fields.items()]
    headers: list[Header] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", entry),
        source,
        ("ce_type", b"roost.unknown"),
        *place,
        ("content-type", JSON),
        ("roost_raw", b"1"),
    ]
    return Message(fields.get(b"subject", b""), orjson.dumps(listed), headers, time_ms)


def mirrored_of(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Mirrored:
    """The entry that `message_of` made that message of. Raises NotMirrored."""
    told = dict(headers)
    try:
        place = told["ce_position"]
        ms, dash, seq = place.partition(b"-")
        if not (dash and ms.isdigit() and seq.isdigit()) or value is None:
            raise ValueError(place)
        shard, epoch = int(told["ce_shard"]), int(told["ce_epoch"])
        if "roost_raw" in told:
            listed: list[list[str]] = orjson.loads(value)
            raw = {b64decode(name): b64decode(held) for name, held in listed}
            return Mirrored(shard, place, raw, epoch, is_raw=True)
        fields = {
            b"type": _text(told["ce_type"]),
            b"subject": _text(told["ce_subject"]),
            b"ver": told["ce_version"],
            b"meta": told["roost_meta"] if "roost_meta" in told else orjson.dumps(_meta_of(told)),
            b"data": value,
        }
    except (ValueError, TypeError, KeyError) as error:
        raise NotMirrored(f"a message is none that the bridge wrote: {error!r}") from error
    return Mirrored(shard, place, fields, epoch)


def _meta_of(told: Mapping[str, bytes]) -> dict[str, Any]:
    meta: dict[str, Any] = {"id": told["ce_id"].decode()}
    meta["time"] = (datetime.fromisoformat(told["ce_time"].decode()) - EPOCH) // MILLISECOND
    if "ce_schema" in told:
        meta["schema"] = int(told["ce_schema"])
    for name in CARRIED:
        if f"ce_{name}" in told:
            meta[name] = told[f"ce_{name}"].decode()
    if "traceparent" in told:
        meta["traceparent"] = told["traceparent"].decode()
    return meta


def _text(stored: bytes) -> bytes:
    stored.decode()  # an attribute of an event is text
    return stored


def _number(stored: bytes) -> bytes:
    if stored.isdigit() and stored[0] != ZERO and len(stored) < 20:
        return stored
    if str(int(stored)).encode() != stored:
        raise ValueError(stored)
    return stored


def _time(time_ms: int) -> bytes:
    if time_ms.__class__ is not int:
        raise ValueError(time_ms)
    seconds, ms = divmod(time_ms, 1000)
    return b"%s.%03dZ" % (_second(seconds), ms)


@lru_cache(maxsize=1_000)
def _second(seconds: int) -> bytes:
    moment = datetime.fromtimestamp(seconds, UTC)
    return b"%04d-%02d-%02dT%02d:%02d:%02d" % moment.timetuple()[:6]


@lru_cache(maxsize=100)
def _origin(flock: str, shard: int, epoch: int) -> tuple[Header, Header, Header]:
    source = f"/roost/{flock}/{shard}".encode()
    return ("ce_source", source), ("ce_shard", b"%d" % shard), ("ce_epoch", b"%d" % epoch)


@lru_cache(maxsize=1_000)
def _is_usual(names: tuple[str, ...]) -> bool:
    """Whether these are names of META's only, in its order."""
    return names == tuple(name for name in META if name in names)
