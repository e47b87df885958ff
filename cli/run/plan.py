"""The plan: what a run would do and cost, without calling a model or writing anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from roost.actors.completion import key_for, request_for
from roost.actors.documents import DocumentError, Mark, Opened, cut, open_document
from roost.actors.models import Model, Usage
from roost.actors.report.report import BEST
from roost.actors.report.words import SUMMARY
from roost.projections.figures import plain_money
from roost.streams import Connection, Keys, Notes, Shard

from .order import Order

BATCH = 64
OUTPUT_TOKENS = {"summary": 100, "answer": 250}
"""What a call of each kind answers with, by experience: the plan's only guess."""


async def plan(order: Order, connection: Connection, flock: str) -> dict[str, Any]:
    """What is to come: sections, those already known, calls and tokens, and their cost where the price is known."""
    model = order.make_model()
    notes = Notes(Shard(connection.client, Keys(flock)))
    known, to_do, skipped, tokens, seen = 0, 0, list[dict[str, str]](), 0, set[str]()
    average = 0
    for source in order.sources:
        try:
            opened = await open_document(source, order.spool, allow_private=order.allow_private)
        except DocumentError as error:
            skipped.append({"what": source.name, "reason": str(error)})
            continue
        with opened:
            async for keys in _keys_of(opened, model):
                fresh = {key: count for key, count in keys.items() if key not in seen}
                seen |= set(fresh)
                there = await notes.known(list(fresh))
                known += len(there)
                to_do += len(fresh) - len(there)
                tokens += sum(count for key, count in fresh.items() if key not in there)
                average += sum(fresh.values())
    answers = max(1, len(order.questions)) if seen else 0
    input_tokens = tokens + answers * min(BEST, len(seen)) * (average // max(1, len(seen)))
    output_tokens = to_do * OUTPUT_TOKENS["summary"] + answers * OUTPUT_TOKENS["answer"]
    return {
        "documents": len(order.sources) - len(skipped),
        "sections": len(seen),
        "known": known,
        "calls": to_do + answers,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "tokens_estimated": True,
        "model": model.label,
        "cost_usd": plain_money(model.cost(Usage(input_tokens, output_tokens, 0))),
        "skipped": skipped,
    }


async def _keys_of(opened: Opened, model: Model) -> AsyncIterator[dict[str, int]]:
    """Keys of the summaries of a document's sections with their input tokens, a batch at a time."""
    place: Mark | int | None = 0
    while place is not None:
        found = await asyncio.to_thread(cut, opened, place, BATCH)
        keys: dict[str, int] = {}
        for section in found.sections:
            request = request_for(SUMMARY, [section.text])
            keys[key_for(model.identity, request)] = request.estimated_input_tokens()
        yield keys
        place = found.mark
