"""Makes a report of one run, of two, or of all, and gives it the form that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from roost.projections import ReportFold
from roost.projections.comparison import compare
from roost.projections.phases import PhasesFold
from roost.streams import Position, RoostError, Shard
from roost.streams.every_shard import find_shards
from roost.streams.merging import MergedLog

from ..failure import tell
from ..json_lines import dump_safely
from ..options import Common
from ..terminal import write
from ..whole_file import write_whole
from .all_fold import AllFold
from .choice import SeenRun, SeenRuns, choose_run, no_runs
from .facts import Document, Facts
from .reading import read_log

if TYPE_CHECKING:
    from .page import Chart

PATIENCE = timedelta(seconds=10)
STANDARD_OUTPUT = "-"
LAST = 2**63
"""Behind all events of a millisecond."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be told: of these runs, one or two, or of all when there are none; and where to."""

    runs: tuple[str, ...]
    json: bool = False
    md: str | None = None
    html: str | None = None


async def report(common: Common, asked: Asked) -> None:
    """Raises RoostError, ServerUnavailable."""
    if asked.html is not None:
        from .page import need_page

        need_page()  # before a long log is read
    document = await _document(common, asked.runs)
    if asked.json:
        write(dump_safely(document, pretty=True))
    facts = _facts(document)
    if asked.md is not None:
        from .markdown import to_markdown

        put(to_markdown(facts), asked.md)
    if asked.html is not None:
        from .page import to_html

        put(to_html(facts, _charts(document)), asked.html)
    if not asked.json and asked.md is None and asked.html is None:
        from .card import show_facts

        show_facts(facts)


async def _document(common: Common, texts: Sequence[str]) -> Document:
    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        ends, made_ms = await MergedLog(shards).ends(), await _now_ms(shards[0])
        if not texts:
            everything = AllFold()
            async for event in read_log(shards, until=ends, what="reading the log"):
                everything.evolve(event)
            if not everything.runs:
                raise no_runs(settings.flock)
            return {"flock": settings.flock, "made_ms": made_ms, **everything.to_data()}
        seen = SeenRuns()
        async for event in read_log(shards, until=ends, what="looking for the run", quiet=True):
            seen.evolve(event)
        chosen = [choose_run(seen.runs, text, settings.flock) for text in texts]
        return {"flock": settings.flock, "made_ms": made_ms, **await _read(shards, chosen)}


async def _now_ms(shard: Shard) -> int:
    """By the server's clock, as all times in the log are."""
    seconds, micros = await shard.command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


async def _read(shards: Sequence[Shard], runs: Sequence[SeenRun]) -> Document:
    """Of one run what there is to tell; of two the same of each, and what is compared."""
    last_ms = max(run.last_ms for run in runs)
    until = [Position(shard.number, last_ms, LAST) for shard in shards]  # from the start: for who wrote what they reuse
    folds = [(ReportFold(run.id), PhasesFold(run.id)) for run in runs]
    async for event in read_log(shards, until=until, what="reading the run"):
        for report, phases in folds:
            report.evolve(event)
            phases.evolve(event)
    reports = [report.report() for report, _ in folds]
    each = [
        {**report.to_data(), "phases": phases.phases()} for report, (_, phases) in zip(reports, folds, strict=True)
    ]  # fmt: skip
    if len(each) == 1:
        return each[0]
    compared = {one.name: one.to_data() for one in compare(*reports)}
    return {"first": each[0], "second": each[1], "compared": compared}


def _facts(document: Document) -> Facts:
    if "runs" in document:
        from .all_facts import facts_of_all

        return facts_of_all(document)
    if "compared" in document:
        from .pair_facts import facts_of_pair

        return facts_of_pair(document)
    from .run_facts import facts_of

    return facts_of(document)


def _charts(document: Document) -> list[Chart]:
    if "runs" in document:
        from .all_charts import charts_of_all

        return charts_of_all(document)
    if "compared" in document:
        from .pair_charts import charts_of_pair

        return charts_of_pair(document)
    from .run_charts import charts_of

    return charts_of(document)


def put(text: str, place: str) -> None:
    """Into a file, or to standard output for `-`. Raises RoostError when it cannot be written."""
    if place == STANDARD_OUTPUT:
        write(text.rstrip("\n"))
        return
    try:
        write_whole(Path(place), text)
    except OSError as error:
        raise RoostError(f"{place} cannot be written: {error.strerror or error}") from error
    tell(f"wrote {place}")
