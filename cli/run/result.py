"""What a run came to, as one document: from its events and the notes they name, and from nothing else."""

from __future__ import annotations

from typing import Any

from roost.actors import Flock
from roost.actors.mapreduce import GroupReduced, JobFinished, PartOffered
from roost.actors.report import RunEnded, RunStarted, cited
from roost.projections import Figures, Tally, WorkFigures
from roost.projections.figures import plain_money
from roost.streams import Event, NoteNotFound, Position, decode

MODEL_KINDS = ("summary", "answer")


class Gathered:
    """The events of a run, folded as they are read."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.tally = Tally()
        self.documents: set[str] = set()
        self.sections: set[str] = set()
        self.started: RunStarted | None = None
        self.ended: RunEnded | None = None
        self.finished: JobFinished | None = None
        self.reduced: dict[str, GroupReduced] = {}

    def add(self, event: Event) -> None:
        self.tally.evolve(event)
        match event.type:
            case "run.started":
                self.started = decode(event)
            case "run.ended":
                self.ended = decode(event)
            case "job.finished":
                self.finished = decode(event)
            case "document.opened":
                self.documents.add(event.data["stream"])
            case "part.offered":
                part: PartOffered = decode(event)
                self.sections.add(part.note)
            case "group.reduced":
                reduced: GroupReduced = decode(event)
                self.reduced[reduced.group] = reduced
            case _:
                pass

    @property
    def figures(self) -> Figures:
        return self.tally.figures()


async def gather(flock: Flock, run: str, since: Position | None = None) -> Gathered:
    """A run's events, from the log."""
    gathered = Gathered(run)
    async for event in flock.log.read(since):
        if event.run == run:
            gathered.add(event)
    return gathered


async def to_document(flock: Flock, gathered: Gathered) -> dict[str, Any]:
    """The run's document, as `--json` prints it."""
    figures, spec, ended = gathered.figures, gathered.started, gathered.ended
    assert spec is not None
    finished = gathered.finished
    missing = () if finished is None else finished.missing
    return {
        "run": gathered.run,
        "flock": flock.name,
        "mode": spec.mode,
        "outcome": "failed" if ended is None else ended.outcome,
        "documents": len(gathered.documents),
        "sections": len(gathered.sections),
        "report": await _text(flock, None if finished is None else finished.result),
        "answers": [await _answer(flock, spec, gathered.reduced[group]) for group in _ordered(gathered.reduced)],
        "missing": [{"what": each.what, "reason": each.reason} for each in missing],
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


def _ordered(reduced: dict[str, GroupReduced]) -> list[str]:
    return sorted(reduced, key=lambda group: (len(group), group))


async def _answer(flock: Flock, spec: RunStarted, reduced: GroupReduced) -> dict[str, Any]:
    text = await _text(flock, reduced.result)
    question = spec.questions[int(reduced.group) - 1] if reduced.group != "0" else None
    members = (await flock.memory.get(reduced.notes)).content
    sources = [
        {"label": f"[{number}]", "note": members[number - 1][0], "title": members[number - 1][1]}
        for number in cited(text or "")
        if number <= len(members)
    ]
    answer = {"question": question, "answer": text, "note": reduced.result, "sources": sources}
    if reduced.error is not None:
        answer["error"] = reduced.error
    return answer


async def _text(flock: Flock, note: str | None) -> str | None:
    if note is None:
        return None
    try:
        return (await flock.memory.get(note)).text
    except NoteNotFound:
        return None
