"""A model's answer over notes, computed once for all who ask the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from roost.streams import LimitExceeded, Note

from .memory import fingerprint
from .models import Input, Model, Request
from .work import Computed, Work

if TYPE_CHECKING:
    from .memory import Memory

MAX_INPUTS = 128


async def complete(
    memory: Memory, model: Model, instructions: str, notes: Sequence[Note | str], *, question: str | None,
    sentences: int | None, labels: tuple[str, ...] | None, sample: int, kind: str, limit: timedelta,
) -> Note:  # fmt: skip
    """The answer as a note. Its key holds model, instructions, input digests and parameters: all that changes it."""
    if len(notes) > MAX_INPUTS:
        raise LimitExceeded(f"a completion reads up to {MAX_INPUTS} notes, not {len(notes)}: sum them up in groups")
    opened = [note if isinstance(note, Note) else await memory.get(note) for note in notes]
    names = labels or tuple(f"[{number}]" for number in range(1, len(opened) + 1))
    if len(names) != len(opened):
        raise LimitExceeded(f"{len(opened)} notes were given {len(names)} labels")
    inputs = tuple(Input(label, note.text) for label, note in zip(names, opened, strict=True))
    request = Request(instructions=instructions, inputs=inputs, question=question, sentences=sentences)

    async def compute() -> Computed:
        answer = await model.complete(request)
        work = Work(
            kind=kind, model=model.label, calls=1, input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens, cached_tokens=answer.cached_tokens, cost_usd=answer.cost_usd,
            tokens_estimated=answer.tokens_estimated,
        )  # fmt: skip
        return Computed(answer.text, work, sources=tuple(note.id for note in opened))

    key = fingerprint("complete", 1, model.identity, request.fingerprint(), sample)
    return await memory.once(key, compute, limit=limit)
