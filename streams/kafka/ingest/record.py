"""A record of a topic, and where records come from: behind these few words Kafka can be any source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Record:
    """`time_ms` -1: it has none."""

    partition: int
    offset: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()
    time_ms: int = -1

    @property
    def size(self) -> int:
        """Bytes of its value."""
        return 0 if self.value is None else len(self.value)


class Taken(NamedTuple):
    """Records of one partition, in order; `next` is the offset that comes behind them and behind all that is passed
    over, such as what a transaction left."""

    records: Sequence[Record]
    next: int


class Bounds(NamedTuple):
    """The first offset that is still there, and the one behind the last that may be read."""

    first: int
    end: int


class Source(Protocol):
    """A topic, read without a group. Its errors are those of aiokafka, of the network, or of faults.py.

    Between `open` and `close` it may be asked by several tasks, each for a partition of its own.
    """

    @property
    def topic(self) -> str: ...
    @property
    def where(self) -> str:
        """For people: which brokers."""
        ...

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def cluster(self) -> str:
        """The cluster's ID; '' where it tells none."""
        ...

    async def partitions(self) -> frozenset[int]:
        """Those that there are now. Raises KafkaRefused where there is no such topic."""
        ...

    async def assign(self, starts: dict[int, int]) -> None:
        """Read these partitions, each from that offset on."""
        ...

    async def bounds(self, partitions: frozenset[int]) -> dict[int, Bounds]: ...
    async def ends(self, partitions: frozenset[int]) -> dict[int, int]:
        """Behind all that has been written, committed or not: whoever reads up to there has all that is there now."""
        ...

    def seek(self, partition: int, offset: int) -> None: ...
    async def take(self, partition: int, most: int, wait_s: float) -> Taken:
        """At most so many records; none if none has come for so long."""
        ...
