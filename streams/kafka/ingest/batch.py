"""Records of one partition as units: their events, and last how far they go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...errors import RoostError
from ...event import Event
from ...unit import MAX_UNIT_BYTES, MAX_UNIT_EVENTS, Unit
from .bookmark import Place
from .cloudevent import Refused, event_of
from .record import Record, Taken

MOST_RECORDS = MAX_UNIT_EVENTS - 1
"""One event is what tells how far they go."""
MOST_BYTES = MAX_UNIT_BYTES - 4096


class RecordRefused(RoostError):
    """A record cannot be taken, and ingesting is to stop at such."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that are written together. `offset` comes next; `refused` of the records are told as such."""

    events: Sequence[Event]
    offset: int
    records: int
    refused: int

    def unit(self, place: Place, version: int) -> Unit:
        """Only if nobody has come further; `version` is the one that the partition's subject has."""
        unit = Unit().expect(place.subject, version)
        for event in self.events:
            unit.event(event)
        return unit.event(place.ingested(self.offset, self.records, self.refused))


def batches_of(flock: str, place: Place, taken: Taken, *, stop_at_refused: bool = False) -> Iterator[Batch]:
    """In their order, each as large as a unit may be. Raises OwnMirror, RecordRefused."""
    events: list[Event] = []
    size = refused = 0
    for record in taken.records:
        event, is_refused = _event(flock, place, record, stop_at_refused)
        bytes_held = len(event.body) + len(event.meta())
        if len(events) == MOST_RECORDS or (events and size + bytes_held > MOST_BYTES):
            yield Batch(events, record.offset, len(events), refused)
            events, size, refused = [], 0, 0
        events.append(event)
        size, refused = size + bytes_held, refused + is_refused
    if events:
        yield Batch(events, taken.next, len(events), refused)


def _event(flock: str, place: Place, record: Record, stop: bool) -> tuple[Event, bool]:
    try:
        return event_of(flock, place.topic, record), False
    except Refused as why:
        if stop:
            raise RecordRefused(
                f"topic {place.topic}, partition {place.partition}, offset {record.offset:,}: {why}. Nothing behind it "
                "is taken in; without --stop-at-refused it is told as record.refused and passed over"
            ) from why
        return place.refused(record.offset, str(why), record.size), True
