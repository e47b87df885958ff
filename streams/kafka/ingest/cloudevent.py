"""A record as an event: a CloudEvent 1.0, in Kafka's binary mode (`ce_…` headers) or its structured one (JSON)."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from ...errors import LimitExceeded, RoostError
from ...event import Event, derived_id, now_ms
from .record import Headers, Record
from .reserved import is_reserved_subject, is_reserved_type

STRUCTURED = "application/cloudevents+json"
MOST_REASON = 200
DEEP = 200
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_LONG = re.compile(rb"\d{19}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LATEST_MS = 253_402_300_799_999


class Refused(RoostError):
    """A record is none that can be an event; the message says why, in up to 200 characters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason if len(reason) <= MOST_REASON else f"{reason[: MOST_REASON - 1]}…")


class OwnMirror(RoostError):
    """A topic that mirrors the flock cannot be what it ingests."""


def event_of(flock: str, topic: str, record: Record) -> Event:
    """The event that a record becomes in that flock. Raises Refused, OwnMirror.

    The same CloudEvent, by source and ID, is an event of the same ID; one that lacks either is told by its place.
    Extensions but the trace context are left behind.
    """
    told, body = _read(record)
    version = told.get("specversion", "1.0")
    if not version.startswith("1."):
        raise Refused(f"CloudEvents of the version {version} are not known here")
    kind = told.get("type", "")
    if not kind:
        raise Refused("no CloudEvent: it has no type (the header ce_type)")
    if any(one.isspace() or not one.isprintable() for one in kind):
        raise Refused(f"a type is words joined by dots, not {kind!r}")
    if is_reserved_type(kind):
        raise Refused(f"only Roost itself writes events of the type {kind}")
    source = told.get("source", "")
    if source.startswith(f"/roost/{flock}/"):
        raise OwnMirror(
            f"topic {topic} has events of the flock {flock!r} itself, and taking them in would never end: ingest "
            "another topic"
        )
    event = Event(
        type=kind,
        subject=_subject(topic, told, record),
        body=body,
        id=_id(topic, source, told.get("id", ""), record),
        actor=f"kafka/{topic}",
        traceparent=_trace(told, record.headers),
        time_ms=_time(told.get("time", ""), record),
    )
    try:
        event.to_fields()
    except LimitExceeded as error:
        raise Refused(str(error).partition(":")[0]) from error
    return event


def _read(record: Record) -> tuple[dict[str, str], bytes]:
    """Its attributes, and its data as JSON."""
    held = {name: value for name, value in record.headers if value is not None}
    kind = next((_text(value, name) for name, value in held.items() if name.lower() == "content-type"), "")
    plain = kind.partition(";")[0].strip().lower()
    if plain.startswith("application/cloudevents"):
        if plain != STRUCTURED:
            raise Refused(f"content of the type {plain} is no single CloudEvent in JSON")
        return _structured(record)
    told = {name[3:]: _text(value, name) for name, value in held.items() if name.startswith("ce_")}
    if told and kind:
        _check_json(kind)
    if not record.value:
        return told, b"{}"
    if told.get("type"):  # of what is no CloudEvent that is the better reason
        _parse(record.value)
    return told, record.value


def _structured(record: Record) -> tuple[dict[str, str], bytes]:
    whole = _parse(record.value or b"")
    if not isinstance(whole, dict):
        raise Refused("no CloudEvent: its JSON is no object")
    members = cast("dict[str, Any]", whole)
    told = {name: value for name, value in members.items() if isinstance(value, str)}
    if kind := told.get("datacontenttype", ""):
        _check_json(kind)
    if "data_base64" in members:
        try:
            body = b64decode(members["data_base64"], validate=True)
        except (ValueError, TypeError) as error:
            raise Refused("its data_base64 is none") from error
        _parse(body)
        return told, body
    return told, b"{}" if members.get("data") is None else _dump_data(record.value or b"", members["data"])


def _dump_data(whole: bytes, data: Any) -> bytes:
    if not _LONG.search(whole):
        return orjson.dumps(data)
    exact: Any = json.loads(whole)["data"]  # orjson makes floats of numbers that are longer than it can hold
    return json.dumps(exact, ensure_ascii=False, separators=(",", ":")).encode()


def _parse(text: bytes) -> Any:
    try:
        value = orjson.loads(text)
        if text.count(b"[") + text.count(b"{") > DEEP:
            orjson.dumps(value)  # nobody could show or pass on what is nested more deeply than that takes
    except ValueError as error:
        raise Refused(f"its data is no JSON: {error}") from error
    except TypeError as error:
        raise Refused("its data is nested too deeply") from error
    return value


def _check_json(kind: str) -> None:
    plain = kind.partition(";")[0].strip().lower()
    if plain not in ("application/json", "text/json") and not plain.endswith("+json"):
        raise Refused(f"data of the type {plain} is no JSON")


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"the header {name} is no text") from error


def _subject(topic: str, told: Mapping[str, str], record: Record) -> str:
    """The one it names; else it is about the topic and the record's key."""
    if subject := told.get("subject", ""):
        if is_reserved_subject(subject):
            raise Refused(f"only Roost itself writes events about {subject}")
        return subject
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        key = ""
    return f"kafka/{topic}/{key}" if key else f"kafka/{topic}"


def _id(topic: str, source: str, ident: str, record: Record) -> str:
    if source and ident:
        return derived_id("cloudevent", source, ident)
    return derived_id("record", topic, record.partition, record.offset)


def _trace(told: Mapping[str, str], headers: Headers) -> str | None:
    """Where the header and the extension differ, the header is that of the hop before."""
    plain = next((value for name, value in headers if name == "traceparent" and value), b"")
    for text in (plain.decode(errors="replace"), told.get("traceparent", "")):
        if _TRACE.fullmatch(text):
            return text
    return None


def _time(text: str, record: Record) -> int:
    """The one it names, else the record's, in ms."""
    try:
        moment = datetime.fromisoformat(text)
        time_ms = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        time_ms = -1
    found = time_ms if time_ms >= 0 else record.time_ms
    return found if 0 <= found <= _LATEST_MS else now_ms()
