"""What a delivery comes to now against what was recorded: the first field that differs."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple, cast

import orjson

from roost.streams import Event, NoteRecord, derived_id

from ..failure import message_of
from ..scope import Staged
from .contents import Contents
from .recording import RecordedDelivery, Recording
from .redoing import Redone
from .reordering import reordered
from .replayed_memory import UNKNOWN_TTL_MS

GIVEN = ("note.read", "work.computed", "work.reused")


class Difference(NamedTuple):
    """A field, with what was recorded and what it is now; None where there is nothing."""

    field: str
    recorded: Any
    new: Any


async def compare(
    recording: Recording, delivery: RecordedDelivery, redone: Redone, contents: Contents
) -> Difference | None:
    """The first difference: in how it ended, in the notes that it put, in its events, in what it set for later."""
    recorded = [await _unsealed(recording, each, contents) for each in _put_then(recording, delivery)]
    redone = reordered(recorded, redone)
    return (
        _of_outcome(delivery, redone)
        or await _of_notes(recording, delivery, recorded, redone, contents)
        or _of_events(recording, delivery, redone)
        or _of_later(recording, delivery, redone)
    )


async def _unsealed(recording: Recording, record: NoteRecord, contents: Contents) -> NoteRecord:
    """The record as it would be had its content been stored as it was put: that is how it is put again."""
    raw = None if not record.about or record.id in recording.forgotten else await contents.get(record.digest)
    return record if raw is None else replace(record, digest=sha256(raw).hexdigest(), size=len(raw))


def _put_then(recording: Recording, delivery: RecordedDelivery) -> list[NoteRecord]:
    """The notes that the delivery has put, by their IDs, which are made of their number. Their events may stand behind
    the end of the delivery, where they are another shard's."""
    run, event, told = delivery.event.run or "", delivery.event.id, delivery.told
    most = len(delivery.attempt) if delivery.is_parked else int(told.get("notes", 0))
    recorded: list[NoteRecord] = []
    for number in range(most):
        record = recording.note_put(derived_id(run, event, delivery.inbox, "note", number))
        if record is None:
            break
        recorded.append(record)
    return recorded


def _of_outcome(delivery: RecordedDelivery, redone: Redone) -> Difference | None:
    told = delivery.told
    if not delivery.is_parked:
        return None if redone.error is None else Difference("outcome", "done", redone.outcome)
    failed = f"{told.get('error')}: {told.get('message')}"
    if redone.error is None:
        return Difference("outcome", f"parked: {failed}", redone.outcome)
    now = f"{type(redone.error).__name__}: {message_of(redone.error)}"
    return None if now == failed else Difference("error", failed, now)


async def _of_notes(
    recording: Recording,
    delivery: RecordedDelivery,
    recorded: Sequence[NoteRecord],
    redone: Redone,
    contents: Contents,
) -> Difference | None:
    staged = redone.staged
    known = redone.read | {each.note.id for each in staged}
    for number in range(max(len(recorded), len(staged))):
        field = f"note[{number}]"
        if number >= len(recorded):
            return Difference(field, None, _shown(staged[number]))
        if number >= len(staged):
            return Difference(field, await _content(recording, recorded[number], contents), None)
        difference = await _of_note(recording, field, recorded[number], staged[number], contents, known)
        if difference is not None:
            return difference
    return _of_sources(delivery, recorded, redone)


def _of_sources(delivery: RecordedDelivery, recorded: Sequence[NoteRecord], redone: Redone) -> Difference | None:
    """Which notes were read before a note was put depends, where a handler does several things at once, on the moment.
    So a source has changed when the handler was not given that note at all."""
    given = {str(event.data.get("note")) for event in delivery.attempt if event.type in GIVEN}
    own = {note.id for note in recorded} | {each.note.id for each in redone.staged}
    for number, (was, each) in enumerate(zip(recorded, redone.staged, strict=True)):
        before, now = set(was.sources), set(each.note.record.sources)
        if (before - now) - redone.read - own or (now - before) - given - own:
            return Difference(f"note[{number}].sources", sorted(before), sorted(now))
    return None


async def _of_note(
    recording: Recording, field: str, recorded: NoteRecord, staged: Staged, contents: Contents, known: Set[str]
) -> Difference | None:
    new = staged.note.record
    if new.digest != recorded.digest or new.form != recorded.form:
        before = await _content(recording, recorded, contents)
        if before is None:
            return Difference(f"{field}.digest", recorded.digest, new.digest)
        return first_difference(before, _shown(staged), f"{field}.content")
    pairs: list[tuple[str, Any, Any]] = [
        ("key", recorded.key, new.key),
        ("tags", list(recorded.tags), list(new.tags)),
    ]
    if set(new.sources) == set(recorded.sources) and set(new.sources) <= known:  # otherwise nobody knows what it was
        pairs += [("trust", recorded.trust, new.trust), ("vouched", recorded.vouched, new.vouched)]
    if new.ttl_ms != UNKNOWN_TTL_MS:
        pairs.append(("ttl_ms", recorded.ttl_ms, new.ttl_ms))
    return next((Difference(f"{field}.{name}", was, now) for name, was, now in pairs if was != now), None)


async def _content(recording: Recording, record: NoteRecord, contents: Contents) -> Any:
    known = recording.notes.get(record.id)
    digest = record.digest if known is None else known.record.digest
    raw = None if record.id in recording.forgotten else await contents.get(digest)
    return None if raw is None else _as_content(record.form, raw)


def _shown(staged: Staged) -> Any:
    return _as_content(staged.note.record.form, staged.raw)


def _as_content(form: str, raw: bytes) -> Any:
    match form:
        case "json":
            return orjson.loads(raw)
        case "text":
            return raw.decode(errors="replace")
        case _:
            return f"{len(raw):,} bytes, {raw[:16].hex()}…"


def _of_events(recording: Recording, delivery: RecordedDelivery, redone: Redone) -> Difference | None:
    recorded = _emitted(recording, delivery)
    for number in range(max(len(recorded), len(redone.events))):
        field = f"event[{number}]"
        if number >= len(recorded):
            return Difference(field, None, _as_data(redone.events[number]))
        if number >= len(redone.events):
            return Difference(field, _as_data(recorded[number]), None)
        was, now = recorded[number], redone.events[number]
        for name, before, after in (("type", was.type, now.type), ("subject", was.subject, now.subject)):
            if before != after:
                return Difference(f"{field}.{name}", before, after)
        difference = first_difference(was.data, now.data, f"{field}.data")
        if difference is not None:
            return difference
    return None


def _emitted(recording: Recording, delivery: RecordedDelivery) -> list[Event]:
    handler = "parked" if delivery.is_parked else str(delivery.told.get("handler"))
    count = len(delivery.attempt) if delivery.is_parked else int(delivery.told.get("emitted", 0))
    found: list[Event] = []
    for number in range(count):
        event = recording.events.get(
            derived_id(delivery.event.run or "", delivery.event.id, delivery.inbox, handler, number)
        )
        if event is None:
            break
        found.append(event)
    return found


def _of_later(recording: Recording, delivery: RecordedDelivery, redone: Redone) -> Difference | None:
    recorded = [event for event in delivery.attempt if event.type == "timer.set"]
    for number in range(max(len(recorded), len(redone.later))):
        field = f"later[{number}]"
        if number >= len(recorded):
            return Difference(field, None, _as_data(redone.later[number][0]))
        if number >= len(redone.later):
            return Difference(field, recorded[number].data, None)
        event, when = redone.later[number]
        told = recorded[number].data
        now = {"type": event.type, "about": event.subject, "delay_ms" if when.kind == "in" else "due_ms": when.ms}
        difference = first_difference({name: told.get(name) for name in now}, now, field)
        came = recording.events.get(str(told.get("event")))
        if difference is None and came is not None:
            difference = first_difference(came.data, event.data, f"{field}.data")
        if difference is not None:
            return difference
    return None


def _as_data(event: Event) -> dict[str, Any]:
    return {"type": event.type, "subject": event.subject, "data": event.data}


def first_difference(was: Any, now: Any, path: str) -> Difference | None:
    """Where two values that JSON holds differ first; members in the order of what was recorded."""
    if type(was) is not type(now):
        return Difference(path, was, now)
    if isinstance(was, dict):
        before, after = cast("dict[str, Any]", was), cast("dict[str, Any]", now)
        for name in dict.fromkeys([*before, *after]):
            if name not in before or name not in after:
                return Difference(f"{path}.{name}", before.get(name), after.get(name))
            difference = first_difference(before[name], after[name], f"{path}.{name}")
            if difference is not None:
                return difference
        return None
    if isinstance(was, list):
        listed = cast("list[object]", was)
        others: list[Any] = now
        for number, (one, other) in enumerate(zip(listed, others, strict=False)):
            difference = first_difference(one, other, f"{path}[{number}]")
            if difference is not None:
                return difference
        return None if len(listed) == len(others) else Difference(f"{path}.length", len(listed), len(others))
    return None if was == now else Difference(path, was, now)
