"""The events of a map-reduce job. They name notes by ID; no content moves."""

from __future__ import annotations

from dataclasses import dataclass

from roost.streams import event


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that could not be done, and why."""

    what: str
    reason: str


@event("part.offered")
@dataclass(frozen=True, slots=True)
class PartOffered:
    """A note is there to be mapped: number `index` of the `size` notes of a batch of an input stream."""

    job: str
    stream: str
    batch: int
    index: int
    size: int
    note: str
    label: str = ""


@event("part.mapped")
@dataclass(frozen=True, slots=True)
class PartMapped:
    """What the note was mapped to; None when it could not be, and why."""

    job: str
    stream: str
    batch: int
    index: int
    size: int
    note: str
    mapped: str | None
    label: str = ""
    error: str | None = None


@event("stream.closed")
@dataclass(frozen=True, slots=True)
class StreamClosed:
    """An input stream has ended with so many batches; `streams` is how many the job has in all.

    With an error, what the stream still held is missing; `label` is what people call the stream.
    """

    job: str
    stream: str
    batches: int
    streams: int
    error: str | None = None
    label: str = ""


@event("part.collected")
@dataclass(frozen=True, slots=True)
class PartCollected:
    """A batch's collector has noted a part."""

    index: int
    size: int
    note: str
    mapped: str | None
    label: str = ""
    error: str | None = None


@event("batch.mapped")
@dataclass(frozen=True, slots=True)
class BatchMapped:
    """Every part of a batch is mapped or missing; `manifest` is a note that lists them."""

    job: str
    stream: str
    batch: int
    manifest: str
    missing: tuple[Missing, ...] = ()


@event("stream.counted")
@dataclass(frozen=True, slots=True)
class StreamCounted:
    """The shuffler has noted the end of a stream."""

    stream: str
    batches: int
    streams: int
    error: str | None = None
    label: str = ""


@event("batch.counted")
@dataclass(frozen=True, slots=True)
class BatchCounted:
    """The shuffler has noted a batch."""

    stream: str
    batch: int
    manifest: str
    missing: tuple[Missing, ...] = ()


@event("groups.listed")
@dataclass(frozen=True, slots=True)
class GroupsListed:
    """The groups of a job stand in the note `listing`; from number `first` on they are still to be formed."""

    job: str
    groups: int
    listing: str
    first: int = 0


@event("group.formed")
@dataclass(frozen=True, slots=True)
class GroupFormed:
    """The notes of a group, best first, as a note that lists them; `groups` is how many groups there are."""

    job: str
    group: str
    groups: int
    notes: str


@event("group.reduced")
@dataclass(frozen=True, slots=True)
class GroupReduced:
    """What a group was reduced to; None when it could not be, and why."""

    job: str
    group: str
    groups: int
    notes: str
    result: str | None
    error: str | None = None


@event("group.counted")
@dataclass(frozen=True, slots=True)
class GroupCounted:
    """The finisher has noted a group's result."""

    group: str
    groups: int
    result: str | None
    notes: str
    error: str | None = None


@event("missing.counted")
@dataclass(frozen=True, slots=True)
class MissingCounted:
    """The finisher has noted what the maps could not do."""

    missing: tuple[Missing, ...]
    unnamed: int = 0


@event("job.shuffled")
@dataclass(frozen=True, slots=True)
class JobShuffled:
    """All parts are in and grouped. `unnamed` is how many are missing besides those that are named."""

    job: str
    groups: int
    parts: int
    missing: tuple[Missing, ...] = ()
    unnamed: int = 0


@event("job.finished")
@dataclass(frozen=True, slots=True)
class JobFinished:
    """The job has ended: the result of each group, the note that joins them, and what is missing.

    `unnamed` is how many parts are missing besides those that are named.
    """

    job: str
    results: dict[str, str | None]
    result: str | None
    missing: tuple[Missing, ...] = ()
    unnamed: int = 0
