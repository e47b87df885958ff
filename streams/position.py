"""Where an event stands: its shard, and its entry in that shard's stream."""

from __future__ import annotations

from typing import NamedTuple

from .errors import SettingsError


class Position(NamedTuple):
    """An event's place in the log. Positions of one shard are ordered; across shards the order means nothing."""

    shard: int
    ms: int
    seq: int

    @property
    def entry(self) -> str:
        """The Redis Stream ID, `<milliseconds>-<sequence>`."""
        return f"{self.ms}-{self.seq}"

    def before(self) -> Position:
        """The place right before this one."""
        if self.seq:
            return Position(self.shard, self.ms, self.seq - 1)
        return Position(self.shard, max(0, self.ms - 1), 2**64 - 1 if self.ms else 0)

    def __str__(self) -> str:
        return self.entry if self.shard == 0 else f"{self.shard}/{self.entry}"

    @classmethod
    def parse(cls, text: str, *, shard: int = 0) -> Position:
        """Read `1700000000000-0`, or `2/1700000000000-0` for shard 2. Raises SettingsError for anything else."""
        head, slash, tail = text.partition("/")
        entry = tail if slash else head
        ms, dash, seq = entry.partition("-")
        try:
            return cls(int(head) if slash else shard, int(ms), int(seq) if dash else 0)
        except ValueError:
            raise SettingsError(f"{text!r} is no position; a position looks like 1700000000000-0") from None


def start_of(shard: int) -> Position:
    """Before the first event of a shard's log."""
    return Position(shard, 0, 0)
