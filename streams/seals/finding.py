"""What is found wrong with a sealed log, or with its seals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "changed", "removed", "reordered", "inserted", "cut off", "unreadable", "seal changed", "seal removed", "other key"
]
MAX_FOUND = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """`first` and `last` are the entries of the range in which it is, where it is in one; `seal` is the number of its
    seal."""

    shard: int
    kind: Kind
    what: str
    seal: int | None = None
    first: str | None = None
    last: str | None = None

    def __str__(self) -> str:
        where = f"shard {self.shard}"
        if self.seal is not None:
            where += f", seal {self.seal}"
        if self.first is not None:
            where += f" ({self.first} to {self.last})"
        return f"{where}: {self.kind}: {self.what}"


@dataclass(slots=True)
class Checked:
    """What was read of a shard, and what was found: at most 200 findings, `more` beside them.

    `seals` fit, with `events` events. `unsealed` events came after the last seal and tell of no seal; the oldest of
    them stands at `unsealed_since`. `skipped` seals are of what the log was before it was sealed anew.
    """

    shard: int
    seals: int = 0
    events: int = 0
    head: int = 0
    head_time: int = 0
    unsealed: int = 0
    unsealed_since: str | None = None
    skipped: int = 0
    notes: list[str] = field(default_factory=list[str])
    findings: list[Finding] = field(default_factory=list[Finding])
    more: int = 0

    def add(self, finding: Finding) -> None:
        if len(self.findings) < MAX_FOUND:
            self.findings.append(finding)
        else:
            self.more += 1

    @property
    def is_clean(self) -> bool:
        return not self.findings
