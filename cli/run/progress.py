"""Progress: agents at work and reuse as it happens, on standard error, from the run's events alone."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from roost.streams import Event

PLAIN_EVERY_S = 2.0


@dataclass(slots=True)
class Seen:
    """What the run's events have told so far."""

    counts: Counter[str] = field(default_factory=Counter[str])
    computing: dict[str, str] = field(default_factory=dict[str, str])

    def take(self, event: Event) -> None:
        data: dict[str, Any] = event.data
        match event.type:
            case "work.claimed":
                self.computing[data["key"]] = event.actor or ""
            case "work.computed":
                self.computing.pop(data["key"], None)
                self.counts["computed"] += data.get("model") is not None
            case "work.failed":
                self.computing.pop(data["key"], None)
                self.counts["failed"] += 1
            case "work.reused":
                work: dict[str, Any] = data.get("work") or {}
                self.counts[data["how"]] += work.get("model") is not None
            case "group.reduced":
                self.counts["answers"] += data["result"] is not None
            case "part.mapped":
                self.counts["summaries"] += data["mapped"] is not None
                self.counts["missing"] += data["mapped"] is None
            case "document.opened":
                self.counts["documents"] += data["batch"] == 0
            case "part.offered" | "delivery.retried" | "delivery.parked":
                self.counts[event.type] += 1
            case _:
                pass

    def line(self, documents: int, questions: int) -> str:
        counts = self.counts
        if not counts["part.offered"]:
            return f"{counts['documents']}/{documents} documents opened"
        parts = [
            f"{counts['summaries']}/{counts['part.offered']} sections",
            f"{counts['answers']}/{questions} answers",
            f"calls: {counts['computed']} made, {counts['found']} found, {counts['joined']} joined",
        ]
        at_work = Counter(self.computing.values())
        if at_work:
            parts.append("at work: " + ", ".join(f"{agent} {number}" for agent, number in sorted(at_work.items())))
        if counts["delivery.retried"] or counts["delivery.parked"]:
            parts.append(f"retried {counts['delivery.retried']}, given up {counts['delivery.parked']}")
        return " · ".join(parts)


class Progress:
    """Live on a terminal; elsewhere a line every two seconds while something happens."""

    def __init__(self, *, sources: int, questions: int) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False)
        self._documents = sources
        self._questions = max(1, questions)
        self._started = time.monotonic()
        self._said = self._started
        self._seen = Seen()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self._console, transient=True, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        if error is None:
            self._say()

    def watch(self, event: Event) -> None:
        """Take one event of the run into account."""
        self._seen.take(event)
        now = time.monotonic()
        if self._live is None and now - self._said >= PLAIN_EVERY_S:
            self._said = now
            self._say()

    def _say(self) -> None:
        self._console.print(self._seen.line(self._documents, self._questions), soft_wrap=True)

    def _table(self) -> Table:
        counts, at_work = self._seen.counts, Counter(self._seen.computing.values())
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(justify="right", style="bold")
        table.add_column()
        offered = counts["part.offered"]
        width = 30
        filled = width * (counts["summaries"] + counts["missing"]) // offered if offered else 0
        bar = "━" * filled + "╺" * (width - filled)
        table.add_row("documents", f"{counts['documents']}/{self._documents} opened")
        table.add_row("sections", f"{bar} {counts['summaries']}/{offered}")
        table.add_row("answers", f"{counts['answers']}/{self._questions}")
        table.add_row("calls", f"{counts['computed']} made · {counts['found']} found · {counts['joined']} joined")
        busy = (
            ", ".join(f"{agent} ×{number}" for agent, number in sorted(at_work.items())) or "nobody waits for a model"
        )
        table.add_row("at work", busy)
        if counts["delivery.retried"] or counts["delivery.parked"]:
            table.add_row("trouble", f"{counts['delivery.retried']} retried, {counts['delivery.parked']} given up")
        table.add_row("", f"{time.monotonic() - self._started:.1f} s")
        return table
