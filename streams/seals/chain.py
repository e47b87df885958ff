"""The chain: seals as files tell of them, followed from one to the next, and files held beside each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from .book import lines_in
from .faults import DamagedSeal
from .finding import Checked, Finding, Kind
from .key import Trusted
from .seal import Seal


@dataclass(frozen=True, slots=True)
class Source:
    """A file of seals. The book begins with the first seal and has this shard's only; what was exported need not."""

    name: str
    content: bytes
    is_book: bool


@dataclass(slots=True)
class Chain:
    """The seals of a shard that are signed and follow each other, by their numbers, from whichever source has them."""

    flock: str
    shard: int
    trusted: Trusted
    seals: dict[int, Seal] = field(default_factory=dict[int, Seal])
    _ends: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, source: Source, found: Checked) -> None:
        """Follow a source from its first line to its last, and tell what is wrong with it."""
        last: Seal | None = None
        for line, seal in lines_in(source.content):
            where = f"{source.name}, line {line}"
            if isinstance(seal, DamagedSeal):
                found.add(Finding(self.shard, "seal changed", f"{where}: {seal}"))
                continue
            if (seal.flock, seal.shard) != (self.flock, self.shard):
                if source.is_book:
                    what = f"{where}: it is of shard {seal.shard} of flock {seal.flock!r}"
                    found.add(Finding(self.shard, "seal changed", what, seal.number))
                continue
            fault = self.trusted.fault(seal)
            if fault is not None:
                kind: Kind = "other key" if not self.trusted.knows(seal) else "seal changed"
                found.add(_of(seal, kind, f"{where}: {fault}"))
                continue
            if last is not None and seal == last:
                continue  # who exports may bring one twice
            self._follow(seal, last, source, where, found)
            last = seal
            known = self.seals.setdefault(seal.number, seal)
            if known != seal:
                found.add(
                    _of(seal, "seal changed", f"{where}: another seal of that number is elsewhere, signed as well")
                )
        self._ends[source.name] = 0 if last is None else last.number

    def compare(self, found: Checked) -> None:
        """Whether a source ends before another, when all have been taken. An export may be on its way yet: only the
        book must have all."""
        most = max(self.seals, default=0)
        for name, end in self._ends.items():
            if end < most and name == next(iter(self._ends)):
                what = f"{name} ends with seal {end}, and elsewhere there is seal {most}: its end was cut off"
                found.add(Finding(self.shard, "seal removed", what, end + 1))

    def _follow(self, seal: Seal, last: Seal | None, source: Source, where: str, found: Checked) -> None:
        expected = 1 if last is None else last.number + 1
        if last is None and not source.is_book:
            return
        if seal.number > expected:
            gap = f"seal {expected}" if seal.number == expected + 1 else f"seals {expected} to {seal.number - 1}"
            found.add(Finding(self.shard, "seal removed", f"{where}: {gap} should stand before it", expected))
        elif seal.number < expected or seal.before != ("" if last is None else last.own_digest):
            found.add(_of(seal, "seal changed", f"{where}: it does not follow the seal before it"))

    def current(self, found: Checked) -> list[Seal]:
        """In order, those of the log as it is now: from the last on that was begun anew."""
        seals = [self.seals[number] for number in sorted(self.seals)]
        begun = [index for index, seal in enumerate(seals) if seal.anew]
        if begun:
            found.skipped = begun[-1]
            seals = seals[begun[-1] :]
        return seals


def _of(seal: Seal, kind: Kind, what: str) -> Finding:
    return Finding(seal.shard, kind, what, seal.number, seal.first, seal.last)
