"""What a run came to, as one document: from its events and the notes they name, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from roost.actors import Flock
from roost.actors.mapreduce import GroupReduced
from roost.actors.report import RunEnded, RunStarted, cited
from roost.projections import Figures, Tally, WorkFigures
from roost.projections.figures import plain_money
from roost.streams import Event, NoteNotFound, Position, decode

from .sections import Sections

if TYPE_CHECKING:
    from roost.actors.replay.branch import SharedPast

MODEL_KINDS = ("summary", "answer")


class Gathered:
    """The events of a run, folded as they are read.

    Of a fork's past, `shared`, it tells what was read and answered then; what that took was the origin's. `instead` are
    the notes that it has in the place of others.
    """

    def __init__(self, run: str, shared: SharedPast | None = None, instead: Mapping[str, str] | None = None) -> None:
        self.run = run
        self._shared = shared
        self.tally = Tally()
        self.documents: set[str] = set()
        self.sections = Sections(instead)
        self.started: RunStarted | None = None
        self.ended: RunEnded | None = None
        self.reduced: dict[str, GroupReduced] = {}

    def add(self, event: Event) -> None:
        if event.run == self.run:
            self.tally.evolve(event)
            self._learn(event)
        elif self._shared is not None and self._shared.has(event):
            self._learn(event)
        elif event.type == "note.written":
            self.sections.evolve(event)

    def _learn(self, event: Event) -> None:
        """What a run has come to so far."""
        self.sections.evolve(event)
        match event.type:
            case "run.started" if event.run == self.run:
                self.started = decode(event)
            case "run.ended" if event.run == self.run:
                self.ended = decode(event)
            case "document.opened":
                self.documents.add(event.data["stream"])
            case "group.reduced":
                reduced: GroupReduced = decode(event)
                self.reduced[reduced.group] = reduced
            case _:
                pass

    @property
    def figures(self) -> Figures:
        return self.tally.figures()


async def gather(
    flock: Flock, run: str, since: Position | None = None, *, shared: SharedPast | None = None,
    instead: Mapping[str, str] | None = None,
) -> Gathered:  # fmt: skip
    """A run's events, from the log; of a fork with those of the past that it shares."""
    gathered = Gathered(run, shared, instead)
    async for event in flock.log.read(since):
        gathered.add(event)
    return gathered


async def to_document(flock: Flock, gathered: Gathered) -> dict[str, Any]:
    """The run's document, as `--json` prints it."""
    figures, spec, ended = gathered.figures, gathered.started, gathered.ended
    assert spec is not None
    assert ended is not None
    groups = [str(number) for number in range(1, len(spec.questions) + 1)] or ["0"]
    return {
        "run": gathered.run,
        "flock": flock.name,
        "mode": spec.mode,
        "outcome": ended.outcome,
        "documents": len(gathered.documents),
        "sections": len(gathered.sections),
        "report": await _text(flock, ended.report),
        "answers": [await _answer(flock, spec, group, gathered.reduced.get(group)) for group in groups],
        "missing": [{"what": each.what, "reason": each.reason} for each in ended.missing],
        "missing_unnamed": ended.unnamed,
        **accounts(figures, label=spec.model if figures.model.name is None else figures.model.name),
    }


def accounts(figures: Figures, *, label: str) -> dict[str, Any]:
    """The figures of a document. `work` counts model work: what is summed up and answered, not what is read and cut."""
    model = figures.model
    return {
        "model": {
            "name": label,
            "calls": model.calls,
            "input_tokens": model.input_tokens,
            "output_tokens": model.output_tokens,
            "cached_tokens": model.cached_tokens,
            "tokens_estimated": model.tokens_estimated,
            "cost_usd": plain_money(model.cost_usd),
            "failed": model.failed,
        },
        "work": model_work(figures).to_data(),
        "saved": figures.saved.to_data(),
        "fetched": figures.documents,
        "bytes": figures.bytes.to_data(),
        "elapsed_s": round(figures.elapsed_s, 3),
        "retries": figures.retries,
        "parked": figures.parked,
    }


def model_work(figures: Figures) -> WorkFigures:
    """Computed, found and joined of the work that a model does."""
    kinds = [figures.by_kind[kind] for kind in MODEL_KINDS if kind in figures.by_kind]
    return WorkFigures(
        computed=sum(kind.computed for kind in kinds),
        found=sum(kind.found for kind in kinds),
        joined=sum(kind.joined for kind in kinds),
    )


async def _answer(flock: Flock, spec: RunStarted, group: str, reduced: GroupReduced | None) -> dict[str, Any]:
    question = spec.questions[int(group) - 1] if group != "0" else None
    if reduced is None:
        reason = "the run ended before it was answered"
        return {"question": question, "answer": None, "note": None, "sources": [], "error": reason}
    text = await _text(flock, reduced.result)
    members: list[list[str]] = (await flock.memory.get(reduced.notes)).content
    sources = [
        {"label": f"[{number}]", "note": members[number - 1][0], "title": members[number - 1][1]}
        for number in cited(text or "")
        if 0 < number <= len(members)
    ]
    answer: dict[str, Any] = {"question": question, "answer": text, "note": reduced.result, "sources": sources}
    return answer if reduced.error is None else answer | {"error": reduced.error}


async def _text(flock: Flock, note: str | None) -> str | None:
    if note is None:
        return None
    try:
        return (await flock.memory.get(note)).text
    except NoteNotFound:
        return None
