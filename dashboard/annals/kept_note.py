"""A note as the annals keep it: what is known of it, when it came and went, and who used it when."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Literal

from roost.projections import RecordedWork
from roost.projections.lineage import Fate
from roost.projections.spending import Spending
from roost.streams.amounts import SHORT_ID, shorten_ids

How = Literal["read", "found", "joined"]
Who = tuple[str | None, str | None, How]
"""Who used a note, in which run, and how."""

NEVER = 2**63 - 1
MOST_COUNT = 2**31 - 1
MAX_USES = 500
"""Uses of one note that are told apart. Beyond, those of the same agent are merged, and then the oldest let go."""


class Uses:
    """When a note was used, by whom and how often: 16 bytes each. `reads` and `reused` count all of them.

    Whoever is merged or let go stays in the counts: as of a moment before the
    last of those, they are counted too early.
    """

    __slots__ = ("_held", "before_reads", "before_reused", "last_ms", "reads", "reused")

    def __init__(self) -> None:
        self._held: array[int] = array("q")  # by turns: milliseconds; who, and how often in the lower 32 bits
        self.reads = self.reused = self.before_reads = self.before_reused = 0
        self.last_ms = 0

    def __len__(self) -> int:
        return len(self._held) // 2

    def add(self, ms: int, who: int, how: How, count: int) -> None:
        """`who` stands for the agent, its run and how."""
        self._held.append(ms)
        self._held.append(who << 32 | min(count, MOST_COUNT))
        self.last_ms = max(self.last_ms, ms)
        if how == "read":
            self.reads += count
        else:
            self.reused += count

    def each(self, at_ms: int) -> list[tuple[int, int, int]]:
        """Those up to the end of that millisecond: when, who, how often."""
        held = self._held
        return [
            (held[place], held[place + 1] >> 32, held[place + 1] & 0xFFFFFFFF)
            for place in range(0, len(held), 2)
            if held[place] <= at_ms
        ]

    def counts(self, at_ms: int, whos: list[Who]) -> tuple[int, int]:
        """How often it had been read, and reused."""
        if at_ms >= self.last_ms:
            return self.reads, self.reused
        reads, reused = self.before_reads, self.before_reused
        for _, who, count in self.each(at_ms):
            if whos[who][2] == "read":
                reads += count
            else:
                reused += count
        return reads, reused

    def thin(self, whos: list[Who]) -> int:
        """Make room: of the older half, each who keeps the first use, and all others of it as one. How many went."""
        before = len(self)
        middle = len(self._held) // 4 * 2
        firsts: dict[int, tuple[int, int]] = {}
        rests: dict[int, tuple[int, int]] = {}
        for place in range(0, middle, 2):
            ms, who, count = self._held[place], self._held[place + 1] >> 32, self._held[place + 1] & 0xFFFFFFFF
            if who not in firsts:
                firsts[who] = (ms, count)
            else:
                rests[who] = (ms, min(MOST_COUNT, count + rests.get(who, (0, 0))[1]))
        older = sorted((ms, who, count) for kept in (firsts, rests) for who, (ms, count) in kept.items())
        spare = max(0, len(older) - middle // 4)
        self._let_go([(who, count) for _, who, count in older[:spare]], whos)
        merged = array("q", [part for ms, who, count in older[spare:] for part in (ms, who << 32 | count)])
        self._held = merged + self._held[middle:]
        return before - len(self)

    def let_go(self, whos: list[Who]) -> int:
        """Keep the counts alone. How many went."""
        gone = self.each(NEVER)
        self._let_go([(who, count) for _, who, count in gone], whos)
        self._held = array("q")
        return len(gone)

    def _let_go(self, gone: list[tuple[int, int]], whos: list[Who]) -> None:
        for who, count in gone:
            if whos[who][2] == "read":
                self.before_reads += count
            else:
                self.before_reused += count


@dataclass(slots=True, eq=False)
class KeptNote:
    """Times are milliseconds of the server's clock, NEVER where nothing of the kind has happened. `text` is what words
    are looked for in."""

    id: str
    key: str | None
    author: str | None
    run: str | None
    tags: tuple[str, ...]
    size: int
    form: str
    content: bytes | str
    """The digest of its content, in half the room where it is hexadecimal."""
    sources: tuple[str, ...]
    ttl_ms: int | None
    written_ms: int
    deadline_ms: int
    span: bytes | None
    label: str | None = None
    work: RecordedWork | None = None
    expired_ms: int = NEVER
    forgotten_ms: int = NEVER
    uses: Uses | None = None
    text: str = ""

    def fate(self, at_ms: int) -> Fate:
        """What had become of it by the end of that millisecond; it has been written by then."""
        if self.forgotten_ms <= at_ms:
            return "forgotten"
        return "expired" if self.deadline_ms <= at_ms or self.expired_ms <= at_ms else "kept"

    @property
    def title(self) -> str:
        """What to call it: its label, else its key, else its tags with the first digits of its ID."""
        return self.label or (shorten_ids(self.key) if self.key else " ".join((*self.tags[:3], self.id[:SHORT_ID])))

    @property
    def traceparent(self) -> str | None:
        """The span that wrote it."""
        if self.span is None:
            return None
        text = self.span.hex()
        return f"{text[:2]}-{text[2:34]}-{text[34:50]}-{text[50:]}"

    @property
    def digest(self) -> str:
        return self.content if isinstance(self.content, str) else self.content.hex()

    def spell(self) -> None:
        """Set `text` anew."""
        self.text = "\n".join(each for each in (self.key, self.label, self.author, *self.tags) if each).casefold()

    def saved(self, reused: int) -> Spending | None:
        """What so many times of not doing its work again have spared; None where there was none, or nobody knows."""
        if self.work is None or not reused:
            return None
        spared = Spending()
        spared.add(self.work, times=reused)
        return spared


def halved(digest: str) -> bytes | str:
    """Hexadecimal digits in half the room."""
    try:
        raw = bytes.fromhex(digest)
    except ValueError:
        return digest
    return raw if raw.hex() == digest else digest


def packed(traceparent: str | None) -> bytes | None:
    """In half the room. None for none, and for what is no traceparent."""
    if traceparent is None or len(traceparent) != 55:
        return None
    try:
        span = bytes.fromhex(traceparent.replace("-", ""))
    except ValueError:
        return None
    return span if len(span) == 26 else None
