"""A model's answer over notes, computed once for all who ask the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from roost.otel import active
from roost.streams import LimitExceeded, Note

from .label import shortened
from .memory import fingerprint
from .models import Completion, Input, Model, ModelError, Request
from .models_used import ModelsUsed
from .traced_calls import calling
from .turnstile import Turnstile
from .work import Computed, Work

if TYPE_CHECKING:
    from .memory import Memory

MAX_INPUTS = 128
TITLE = 80
"""Characters of what a completion is about, in its label."""

Guard = Callable[[], Awaitable[Callable[[Completion], Awaitable[None]]]]
"""Called before a model call, may raise; what it answers is called with the completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a model is asked besides the notes that it reads.

    `labels` name the inputs, as the answer cites them: `[1]`, `[2]`, … unless given. `sample` asks for further,
    independent answers. `texts` are given instead of notes' contents, one for each note. `title` says what the notes
    are about to people who watch the work: it is no part of the question.
    """

    instructions: str
    question: str | None = None
    sentences: int | None = None
    labels: tuple[str, ...] | None = None
    sample: int = 0
    kind: str = "model"
    texts: tuple[str, ...] | None = None
    title: str | None = None

    def label_for(self, model: str) -> str:
        """What people who look on are told: `Owls · offline`."""
        words = (self.title or self.question or self.instructions)[: 4 * TITLE].split()
        return f"{shortened(' '.join(words), TITLE)} · {model}" if words else model


def request_for(ask: Ask, texts: Sequence[str]) -> Request:
    """The request that asks this of these texts. Raises LimitExceeded, InvalidRequest."""
    if len(texts) > MAX_INPUTS:
        raise LimitExceeded(f"a completion reads up to {MAX_INPUTS} notes, not {len(texts)}: sum them up in groups")
    names = ask.labels or tuple(f"[{number}]" for number in range(1, len(texts) + 1))
    if len(names) != len(texts):
        raise LimitExceeded(f"{len(texts)} notes were given {len(names)} labels")
    inputs = tuple(Input(label, text) for label, text in zip(names, texts, strict=True))
    return Request(instructions=ask.instructions, inputs=inputs, question=ask.question, sentences=ask.sentences)


def key_for(identity: str, request: Request, sample: int = 0) -> str:
    """The key of the answer of the model with that identity: it holds all that changes it."""
    return fingerprint("complete", 1, identity, request.fingerprint(), sample)


async def open_inputs(memory: Memory, ask: Ask, notes: Sequence[Note | str]) -> tuple[list[Note], Request]:
    """The notes, and the request that asks this of them. Raises NoteNotFound, LimitExceeded, InvalidRequest."""
    opened = [note if isinstance(note, Note) else await memory.get(note) for note in notes]
    texts = ask.texts if ask.texts is not None else tuple(note.text for note in opened)
    return opened, request_for(ask, texts)


async def asked(model: Model, request: Request) -> Completion:
    """The model's answer, as a span and a count where those are asked for."""
    if active.tracing is None and active.meters is None:
        return await model.complete(request)
    with calling(model.label) as call:
        answer = await model.complete(request)
        call.took(answer)
        call.says(request, answer.text)
        return answer


async def complete(
    memory: Memory,
    model: Model,
    ask: Ask,
    notes: Sequence[Note | str],
    *,
    limit: timedelta,
    guard: Guard | None,
    slots: asyncio.Semaphore | None,
    turnstile: Turnstile,
    used: ModelsUsed,
) -> Note:
    """The answer as a note; its sources are the notes."""
    opened, request = await open_inputs(memory, ask, notes)

    async def compute() -> Computed:
        agent = memory.scope.reader.actor
        async with turnstile.passing(model.name, request.estimated_tokens(), agent) as passage:
            called = await guard() if guard is not None else None
            try:
                answer = await asked(model, request)
            except ModelError as error:
                error.model = model.label
                raise
            passage.tokens = answer.input_tokens + answer.output_tokens
        if called is not None:
            await called(answer)
        work = Work(
            kind=ask.kind, model=model.label, calls=1, input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens, cached_tokens=answer.cached_tokens, cost_usd=answer.cost_usd,
            tokens_estimated=answer.tokens_estimated, cost_cached_usd=answer.cost_cached_usd,
        )  # fmt: skip
        return Computed(answer.text, work, sources=tuple(note.id for note in opened))

    used.tell(memory.scope, model)
    key, label = key_for(model.identity, request, ask.sample), ask.label_for(model.label)
    return await memory.once(key, compute, limit=limit, slots=slots, label=label)
