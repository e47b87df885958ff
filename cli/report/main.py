"""Makes a report, and gives it the form that is asked for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from roost.projections import ReportFold, RunsFold
from roost.streams import RoostError
from roost.streams.every_shard import find_shards
from roost.streams.merging import MergedLog

from ..failure import tell
from ..json_lines import dump_safely
from ..options import Common
from ..terminal import write
from .choice import choose_run
from .facts import Document
from .phases import PhasesFold
from .reading import read_log

PATIENCE = timedelta(seconds=10)


async def report_run(common: Common, text: str, md: str | None, html: str | None) -> None:
    """One run. Raises RoostError, ServerUnavailable."""
    if html is not None:
        from .page import need_page

        need_page()
    document = await _document(common, text)
    if common.json:
        write(dump_safely(document, pretty=True))
        return
    from .run_facts import facts_of

    facts = facts_of(document)
    if md is not None:
        from .markdown import to_markdown

        put(to_markdown(facts), md)
        return
    if html is not None:
        from .page import to_html
        from .run_charts import charts_of

        put(to_html(facts, charts_of(document)), html)
        return
    from .card import show_facts

    show_facts(facts)


async def _document(common: Common, text: str) -> Document:
    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        ends = await MergedLog(shards).ends()
        runs = RunsFold()
        async for event in read_log(shards, until=ends, what="looking for the run"):
            runs.evolve(event)
        run = choose_run(list(runs.by_id.values()), text, settings.flock)
        report, phases = ReportFold(run.id), PhasesFold(run.id)
        async for event in read_log(shards, until=ends, what="reading the run"):
            report.evolve(event)
            phases.evolve(event)
    return {"flock": settings.flock, **report.report().to_data(), "phases": phases.phases()}


def put(text: str, place: str) -> None:
    """Into a file, or to standard output for `-`. Raises RoostError when it cannot be written."""
    if place == "-":
        write(text.rstrip("\n"))
        return
    try:
        Path(place).write_text(text, "utf-8")
    except OSError as error:
        raise RoostError(f"{place} cannot be written: {error.strerror or error}") from error
    tell(f"wrote {place}")
