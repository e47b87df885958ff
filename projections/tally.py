"""The tally: the fold of events into figures. The order of the events does not matter to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from roost.streams import Event

from .figures import ByteFigures, Figures, ModelFigures, SavedFigures, WorkFigures
from .folding import fold
from .recorded import OddData, RecordedWork, count_of, data_of, how_of, spared_work, text_of
from .spending import Spending

DOCUMENT = "document"
COUNTED = frozenset(
    {"delivery.handled", "delivery.parked", "delivery.retried", "note.missed", "note.written", "work.failed"}
)
PUT = "put"
"""The kind of what was reused although nobody computed it: a note that was put under the key."""


@dataclass(slots=True)
class _Messages:
    """Bytes of data in events that were handled, once for each delivery that handled them."""

    sizes: dict[str, int] = field(default_factory=dict[str, int])
    early: Counter[str] = field(default_factory=Counter[str])
    total: int = 0

    def sent(self, event: Event) -> None:
        if event.id not in self.sizes:
            self.sizes[event.id] = len(event.body)
            self.total += len(event.body) * self.early.pop(event.id, 0)

    def handled(self, event_id: str) -> None:
        if event_id in self.sizes:
            self.total += self.sizes[event_id]
        else:
            self.early[event_id] += 1


class Tally:
    """Counts what happened: of one run, or of everything it is given. `figures` tells how it stands.

    To weigh messages, it keeps the ID of each event. `messages=False` is for logs without end: `by_reference` stays 0.
    """

    def __init__(self, run: str | None = None, *, messages: bool = True) -> None:
        self._run = run
        self._weighs_messages = messages
        self._kinds: dict[str, Counter[str]] = {}
        self._spent, self._saved = Spending(), Spending()
        self._models: set[str] = set()
        self._messages = _Messages()
        self._types: Counter[str] = Counter()
        self._events = self._odd = self._reads = self._bytes_read = self._failed_calls = 0
        self._first_ms: int | None = None
        self._last_ms: int | None = None
        self._takers: dict[str, Callable[[Event], None]] = {
            "work.computed": self._computed,
            "work.reused": self._reused,
            "work.failed": self._failed,
            "note.read": self._read,
            "delivery.handled": self._handled,
        }

    def evolve(self, event: Event) -> None:
        """Count one event."""
        if self._run is not None and event.run != self._run:
            return
        self._events += 1
        if event.type in COUNTED:
            self._types[event.type] += 1
        written: Any = event.id  # as it was written, by whomever
        if self._weighs_messages and isinstance(written, str):
            self._messages.sent(event)
        if event.position is not None:
            ms = event.position.ms
            self._first_ms = ms if self._first_ms is None else min(self._first_ms, ms)
            self._last_ms = ms if self._last_ms is None else max(self._last_ms, ms)
        take = self._takers.get(event.type)
        if take is not None:
            try:
                take(event)
            except OddData:
                self._odd += 1

    def _computed(self, event: Event) -> None:
        work = RecordedWork.from_data(data_of(event))
        self._spent.add(work)
        self._count(work.kind, "computed", work.model)

    def _reused(self, event: Event) -> None:
        data = data_of(event)
        how, work = how_of(data), spared_work(data)
        if work is None:
            self._count(PUT, how, None)
        else:
            self._saved.add(work)
            self._count(work.kind, how, work.model)

    def _failed(self, event: Event) -> None:
        model = data_of(event).get("model")
        if isinstance(model, str):
            self._failed_calls += 1
            self._models.add(model)

    def _read(self, event: Event) -> None:
        data = data_of(event)
        size, count = count_of(data, "size"), count_of(data, "count")
        self._reads += count
        self._bytes_read += size * count

    def _handled(self, event: Event) -> None:
        handled = text_of(data_of(event), "event")
        if self._weighs_messages:
            self._messages.handled(handled)

    def _count(self, kind: str, what: str, model: str | None) -> None:
        self._kinds.setdefault(kind, Counter())[what] += 1
        if model is not None:
            self._models.add(model)

    @property
    def odd(self) -> int:
        """Events that were left out because their data does not fit their type."""
        return self._odd

    def figures(self, *, more_odd: int = 0) -> Figures:
        """How it stands now. `more_odd` is how many events others have found odd besides."""
        kinds = {
            kind: WorkFigures(computed=counted["computed"], found=counted["found"], joined=counted["joined"])
            for kind, counted in self._kinds.items()
        }
        documents, counts, spent, saved = kinds.get(DOCUMENT, WorkFigures()), self._types, self._spent, self._saved
        return Figures(
            work=WorkFigures(
                computed=sum(kind.computed for kind in kinds.values()),
                found=sum(kind.found for kind in kinds.values()),
                joined=sum(kind.joined for kind in kinds.values()),
            ),
            failed=counts["work.failed"],
            by_kind=kinds,
            model=ModelFigures(
                name=", ".join(sorted(self._models)) or None,
                calls=spent.calls,
                input_tokens=spent.input_tokens,
                output_tokens=spent.output_tokens,
                cached_tokens=spent.cached_tokens,
                tokens_estimated=spent.estimated,
                cost_usd=spent.cost_usd,
                failed=self._failed_calls,
            ),
            saved=SavedFigures(
                calls=saved.calls,
                tokens=saved.tokens,
                tokens_estimated=saved.estimated,
                cost_usd=saved.cost_again_usd,
                full_cost_usd=saved.cost_usd,
                seconds=saved.seconds,
            ),
            documents=documents.computed,
            documents_reused=documents.reused,
            bytes=ByteFigures(by_value=self._bytes_read, by_reference=self._messages.total),
            elapsed_s=((self._last_ms or 0) - (self._first_ms or 0)) / 1000,
            deliveries=counts["delivery.handled"],
            retries=counts["delivery.retried"],
            parked=counts["delivery.parked"],
            reads=self._reads,
            misses=counts["note.missed"],
            notes=counts["note.written"],
            events=self._events,
            odd=self._odd + more_odd,
        )


async def figures_of(events: AsyncIterable[Event] | Iterable[Event], run: str | None = None) -> Figures:
    """The figures of these events: of one run's among them, or of all."""
    return (await fold(events, Tally(run))).figures()
