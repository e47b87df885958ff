"""The manifest: which segments and states an archive has of one shard, with their digests."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

import orjson

from ..errors import RoostError

FORMAT = 1


class DamagedArchive(RoostError):
    """An archive is not as it was written."""


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment: its first and last entry, how many events, the size and SHA-256 of its file, and the chain: the digest
    over the chain of the segment before it and its own. `passed` counts all events of the log up to its end. `gone` are
    digests of contents that its events name, and that were no more when it was written."""

    path: str
    first: str
    last: str
    events: int
    passed: int
    size: int
    digest: str
    chain: str
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StateEntry:
    """A state: what had been folded up to an entry."""

    path: str
    at: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Of one shard of a flock. `number` counts its manifests, `before` is the digest of the one before this."""

    flock: str
    shard: int
    segments: tuple[SegmentEntry, ...] = ()
    state: StateEntry | None = None
    number: int = 0
    before: str = ""
    format: int = FORMAT

    @property
    def last(self) -> str:
        """The last entry that is archived; 0-0 before there is one."""
        return self.segments[-1].last if self.segments else "0-0"

    @property
    def passed(self) -> int:
        """How many events the log had up to there."""
        return self.segments[-1].passed if self.segments else 0

    def with_segment(self, segment: SegmentEntry) -> Manifest:
        return replace(self, segments=(*self.segments, segment), number=self.number + 1, before=self.digest)

    def with_state(self, state: StateEntry) -> Manifest:
        return replace(self, state=state, number=self.number + 1, before=self.digest)

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)

    @property
    def digest(self) -> str:
        return sha256(self.to_json()).hexdigest()

    @classmethod
    def parse(cls, content: bytes, where: str) -> Manifest:
        """Raises DamagedArchive."""
        try:
            told: dict[str, Any] = orjson.loads(content)
            if told["format"] > FORMAT:
                raise DamagedArchive(f"{where} was written by a newer Roost (format {told['format']}): update Roost")
            state = told["state"]
            return cls(
                flock=told["flock"],
                shard=told["shard"],
                segments=tuple([_segment_of(each) for each in told["segments"]]),
                state=None if state is None else StateEntry(**state),
                number=told["number"],
                before=told["before"],
                format=told["format"],
            )
        except (ValueError, TypeError, KeyError) as error:
            raise DamagedArchive(f"{where} is no manifest of an archive: {error!r}") from error


def _segment_of(told: dict[str, Any]) -> SegmentEntry:
    return replace(SegmentEntry(**told), gone=tuple(told["gone"]))


def chain_of(before: str, digest: str) -> str:
    """The chain after a segment."""
    return sha256(f"{before} {digest}".encode()).hexdigest()
