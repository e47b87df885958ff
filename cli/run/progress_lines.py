"""Progress for programs: with `--log-json`, a line of JSON on standard error whenever a run has come on."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType
from typing import Any, Self

from roost.projections import Tally
from roost.streams import Event

from ..json_lines import dump_safely
from ..options import Common
from .progress import Progress, Seen

EVERY_S = 0.4


class ProgressLines:
    """As Progress; a line tells all, so who has missed some knows no less. The first names the run."""

    def __init__(self, *, sources: int, questions: int) -> None:
        self._documents, self._questions = sources, max(1, questions)
        self._seen, self._tally = Seen(), Tally(messages=False)
        self._run: str | None = None
        self._next: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._next is not None:
            self._next.cancel()
        if self._run is not None:
            self._say()

    def watch(self, event: Event) -> None:
        """Take one event of the run into account."""
        self._seen.take(event)
        self._tally.evolve(event)
        first, self._run = self._run is None, self._run or event.run
        if first:
            self._say()
        elif self._next is None:  # what comes next is told in a while, also when nothing more comes
            self._next = asyncio.get_running_loop().call_later(EVERY_S, self._say)

    def _say(self) -> None:
        self._next = None
        counts, figures = self._seen.counts, self._tally.figures()
        line: dict[str, Any] = {
            "event": "progress",
            "run": self._run,
            "documents": [counts["documents"], self._documents],
            "sections": [counts["summaries"] + counts["missing"], counts["part.offered"]],
            "answers": [counts["answers"], self._questions],
            "missing": counts["missing"],
            "calls": figures.model.calls,
            "reused": counts["found"] + counts["joined"],
            "tokens": figures.model.input_tokens + figures.model.output_tokens,
            "tokens_saved": figures.saved.tokens,
            "retried": counts["delivery.retried"],
            "given_up": counts["delivery.parked"],
        }
        try:
            sys.stderr.write(dump_safely(line) + "\n")
            sys.stderr.flush()
        except OSError:
            return  # nobody is left to read it; the work goes on


def progress_for(common: Common, *, sources: int, questions: int) -> Progress | ProgressLines:
    """For people, unless lines of JSON were asked for."""
    if common.log_json:
        return ProgressLines(sources=sources, questions=questions)
    return Progress(sources=sources, questions=questions)
