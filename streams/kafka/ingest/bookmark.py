"""How far a partition has been taken in: the last event about `topic/<topic>/<partition>`, which came with the events
of its records in one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from ...errors import RoostError
from ...event import Event
from ...log import Log
from ...shard import Shard

INGESTED, REFUSED, MISSED = "records.ingested", "record.refused", "records.missed"
START, END = "start", "end"


@dataclass(frozen=True, slots=True)
class Place:
    """A partition of a topic, as events tell of it."""

    topic: str
    partition: int
    cluster: str

    @property
    def subject(self) -> str:
        return f"topic/{self.topic}/{self.partition}"

    def ingested(self, offset: int, records: int, refused: int) -> Event:
        """`offset` comes next; so many records came before it, and so many of these were refused."""
        return self._event(INGESTED, offset=offset, records=records, refused=refused, cluster=self.cluster)

    def refused(self, offset: int, reason: str, size: int) -> Event:
        return self._event(REFUSED, offset=offset, reason=reason, size=size)

    def missed(self, offset: int, instead: int, reason: str) -> Event:
        return self._event(MISSED, offset=offset, instead=instead, reason=reason)

    def _event(self, kind: str, **data: Any) -> Event:
        body = orjson.dumps({"topic": self.topic, "partition": self.partition, **data})
        return Event(type=kind, subject=self.subject, body=body, actor=f"kafka/{self.topic}")


@dataclass(frozen=True, slots=True)
class Bookmark:
    """`version` of the subject, at which the next step is expected to find it; 0: the partition is new here."""

    version: int = 0
    offset: int = 0
    cluster: str = ""


async def find_bookmark(shard: Shard, subject: str) -> Bookmark:
    """Raises RoostError for a subject whose last event is none of ingest's, and what the server says."""
    found = await Log(shard).subject(subject, limit=1)
    if not found:
        if await shard.command("HEXISTS", shard.keys.key("versions"), subject):
            raise RoostError(
                f"flock {shard.keys.flock!r}: the last event about {subject} has left the server, and the archive has "
                "it not: put the archive back"
            )
        return Bookmark()
    last = found[0]
    if last.type != INGESTED or last.version is None:
        raise RoostError(
            f"flock {shard.keys.flock!r}: the last event about {subject} is {last.type}, which ingesting has not "
            "written: take another flock for this topic"
        )
    data: dict[str, Any] = last.data
    return Bookmark(last.version, int(data["offset"]), str(data["cluster"]))
