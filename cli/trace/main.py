"""Tells the trace of a note or of a run, and gives it the form that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from roost.otel.span_links import SpanLinks
from roost.projections import Lineage, ReportFold, View, read_lineage
from roost.projections.phases import PhasesFold
from roost.projections.shipped.lineages import LineageRow, read_uses
from roost.streams import NoteNotFound, Shard
from roost.streams.every_shard import find_shards
from roost.streams.merging import MergedLog

from ..json_lines import dump_safely
from ..lineages_view import lineages_view
from ..options import Common
from ..report.reading import read_log
from ..terminal import UNBOUNDED, show, write
from .document import document_of_note, document_of_run
from .meant import find_meant
from .note_tree import SHOWN, NoteTrace, draw_note
from .run_tree import RunTrace, draw_run
from .sketch import Sketch
from .stages import StagesFold

PATIENCE = timedelta(seconds=10)
NOTES = 500
"""Notes that are drawn."""
NOTES_IN_JSON, BREADTH_IN_JSON = 2000, 1000
"""A program may want what no terminal can show."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be told, and how."""

    meant: str
    depth: int
    jaeger: str | None = None
    names_ids: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one lineage."""

    depth: int
    breadth: int
    notes: int


async def trace(common: Common, asked: Asked) -> None:
    """Raises RoostError, ServerUnavailable."""
    settings = common.settings(jaeger=asked.jaeger)
    links = SpanLinks(settings.jaeger, asked.names_ids)
    bounds = Bounds(asked.depth, BREADTH_IN_JSON, NOTES_IN_JSON) if common.json else Bounds(asked.depth, SHOWN, NOTES)
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        view = await lineages_view(shards)
        meant = await find_meant(shards, view, asked.meant)
        if meant.kind == "note":
            note = await _note(view, meant.id, bounds)
            if common.json:
                write(dump_safely({"flock": settings.flock, **document_of_note(note, links)}, pretty=True))
            else:
                _draw(draw_note(note, Sketch.for_output(links)))
            return
        run = await _run(shards, view, meant.id, bounds)
    if common.json:
        write(dump_safely({"flock": settings.flock, **document_of_run(run, links)}, pretty=True))
    else:
        _draw([draw_run(run, Sketch.for_output(links))])


def _draw(trees: Sequence[object]) -> None:
    for number, tree in enumerate(trees):
        show(*([""] if number else []), tree, columns=UNBOUNDED)  # lines have been cut, but for what must not be


async def _note(view: View[LineageRow], note: str, bounds: Bounds) -> NoteTrace:
    lineage = await _lineage(view, note, bounds)
    uses, more = await read_uses(view, note)
    return NoteTrace(lineage, uses, more)


async def _lineage(view: View[LineageRow], note: str, bounds: Bounds) -> Lineage:
    return await read_lineage(view, note, depth=bounds.depth, breadth=bounds.breadth, notes=bounds.notes)


async def _run(shards: Sequence[Shard], view: View[LineageRow], run: str, bounds: Bounds) -> RunTrace:
    """The log is read from its beginning: for who wrote what the run used."""
    report, phases, stages = ReportFold(run), PhasesFold(run), StagesFold(run)
    ends = await MergedLog(shards).ends()
    async for event in read_log(shards, until=ends, what="reading the run"):
        report.evolve(event)
        phases.evolve(event)
        stages.evolve(event)
    answers = stages.answers
    lineages: list[Lineage | None] = []
    for answer in answers[:SHOWN]:
        try:
            lineages.append(await _lineage(view, answer.note, bounds))
        except NoteNotFound:
            lineages.append(None)
    return RunTrace(
        report=report.report(), phases=phases.phases(), agents=stages.agents, answers=answers[:SHOWN],
        lineages=lineages, later=stages.later, more_answers=len(answers) - len(lineages), span=stages.span,
    )  # fmt: skip
