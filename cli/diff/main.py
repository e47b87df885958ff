"""Compares two runs: one document, which is printed as JSON or shown on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from roost.projections import ReportFold
from roost.projections.comparison import compare
from roost.streams import Event, Shard
from roost.streams.contents import find_opened
from roost.streams.every_shard import find_shards
from roost.streams.keys import NAME
from roost.streams.merging import MergedLog

from ..json_lines import dump_safely
from ..options import Common
from ..report.facts import Document
from ..report.reading import read_log
from ..run_choice import find_run
from ..terminal import write
from .answers import Answered, Answers, compare_answers
from .matching import Matched, match
from .past import Past, read_past
from .specification import Specification, compare_settings, origin_of
from .used_notes import UsedNote, UsedNotes, digests

PATIENCE = timedelta(seconds=10)


@dataclass(slots=True)
class Side:
    """One of the two runs, and what its events tell."""

    past: Past
    shards: list[Shard]
    report: ReportFold = field(init=False)
    specification: Specification = field(init=False)
    answers: Answers = field(init=False)
    used: UsedNotes = field(init=False)

    def __post_init__(self) -> None:
        self.report, self.specification = ReportFold(self.run), Specification(self.past)
        self.answers, self.used = Answers(self.past), UsedNotes(self.past)

    @property
    def run(self) -> str:
        return self.past.run

    @property
    def flock(self) -> str:
        return self.shards[0].keys.flock

    def evolve(self, event: Event) -> None:
        """Take one event of the flock in."""
        for fold in (self.report, self.specification, self.answers, self.used):
            fold.evolve(event)

    async def content(self, digest: str) -> bytes | None:
        """A content that one of its notes has; None when it was forgotten."""
        return await find_opened(self.shards, digest)

    async def texts(self, answered: dict[str, Answered], notes: Sequence[UsedNote]) -> dict[str, str]:
        """The texts of its answers, by the IDs of their notes."""
        known, found = digests(notes), dict[str, str]()
        for note in {each.note for each in answered.values() if each.note is not None}:
            raw = await self.content(known[note]) if note in known else None
            if raw is not None:
                found[note] = raw.decode(errors="replace")
        return found


async def diff(common: Common, runs: tuple[str, str]) -> None:
    """Raises RoostError, ServerUnavailable."""
    settings = common.settings()
    async with common.connect(settings) as connection:
        shards: dict[str, list[Shard]] = {}
        sides: list[Side] = []
        for text in runs:
            flock, run = split(text, settings.flock)
            if flock not in shards:
                shards[flock] = await find_shards(connection.client, flock, patience=PATIENCE)
            past = await read_past(shards[flock], await find_run(shards[flock], run))
            sides.append(Side(past, shards[flock]))
        document = await compare_runs(*sides)
    if common.json:
        write(dump_safely(document, pretty=True))
        return
    from .card import show_difference

    show_difference(document)


def split(text: str, flock: str) -> tuple[str, str]:
    """The flock and the run that `FLOCK/RUN` or `RUN` names."""
    named, slash, run = text.partition("/")
    return (named, run) if slash and run and NAME.fullmatch(named) else (flock, text)


async def _read(sides: Sequence[Side]) -> None:
    """Read the log of their flock: once for what they are, once more for who wrote what they were spared."""
    shards = sides[0].shards
    ends = await MergedLog(shards).ends()
    async for event in read_log(shards, until=ends, what="reading the runs"):
        for side in sides:
            side.evolve(event)
    unknown = set[str]().union(*[side.used.unknown for side in sides])
    if not unknown:
        return
    async for event in read_log(shards, until=ends, what="reading what they were spared", quiet=True):
        if event.type == "note.written" and event.id in unknown:
            for side in sides:
                side.used.see_written(event)


async def compare_runs(first: Side, second: Side) -> Document:
    """Read both, and what differs as JSON holds it."""
    if first.flock == second.flock:
        await _read([first, second])
    else:
        await _read([first])
        await _read([second])
    both, reports = (first, second), (first.report.report(), second.report.report())
    notes = [side.used.notes() for side in both]
    answers = [side.answers.answers() for side in both]
    texts = [await side.texts(one, used) for side, one, used in zip(both, answers, notes, strict=True)]
    matched = await match(notes[0], notes[1], first.content, second.content, (first.run, second.run))
    return {
        "first": {"flock": first.flock, "began_ms": reports[0].began // 1000, **reports[0].run.to_data()},
        "second": {"flock": second.flock, "began_ms": reports[1].began // 1000, **reports[1].run.to_data()},
        "origin": origin_of(first.specification, second.specification),
        "settings": compare_settings(first.specification, second.specification),
        "answers": compare_answers(answers[0], answers[1], (texts[0], texts[1])),
        "notes": notes_data(matched),
        "compared": {one.name: one.to_data() for one in compare(*reports)},
    }


def notes_data(matched: Matched) -> dict[str, Any]:
    """How many notes are the same in both, and each that is not."""
    return {
        "equal": len(matched.equal),
        "different": [
            {"about": one.about, "same_key": one.key is not None and one.key == other.key,
             "first": _note_data(one), "second": _note_data(other)}
            for one, other in matched.different
        ],
        "only_first": [{"about": note.about, **_note_data(note)} for note in matched.only_first],
        "only_second": [{"about": note.about, **_note_data(note)} for note in matched.only_second],
    }  # fmt: skip


def _note_data(note: UsedNote) -> dict[str, Any]:
    return {"note": note.id, "author": note.author, "key": note.key, "size": note.size if note.digest else None}
