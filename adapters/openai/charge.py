"""What a call took: tokens as the provider counted them, or estimated; their price, where one is known."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any, cast

from roost.actors import Work
from roost.actors.models.prices import cost
from roost.actors.models.usage import Usage, estimate_tokens

from .call import Call
from .reading import Reading

KIND = "model"
ASKED = ("messages", "input", "prompt", "instructions")
"""Members of requests that hold what the model reads."""
NO_TEXT = ("role", "type", "id", "status", "detail")


async def work_of(call: Call, reading: Reading) -> Work:
    """The work behind an answer. A price is looked up in the installed list, never on the network."""
    counted = _counted(reading.usage)
    usage = counted or Usage(estimate_tokens(*_strings([call.body.get(name) for name in ASKED])),
                             estimate_tokens(*reading.texts))  # fmt: skip
    if call.official and "genai_prices" not in sys.modules:  # a fifth of a second, in which the loop has other work
        price = await asyncio.to_thread(cost, call.label, usage, public=True)
    else:
        price = cost(call.label, usage, public=call.official)
    return Work(
        kind=KIND, model=call.label, calls=1, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens, cost_usd=price, tokens_estimated=counted is None,
    )  # fmt: skip


def _counted(usage: dict[str, Any] | None) -> Usage | None:
    if usage is None:
        return None
    sent = usage.get("prompt_tokens", usage.get("input_tokens"))
    received = usage.get("completion_tokens", usage.get("output_tokens", 0))
    # A question has tokens: a server that says 0 did not count.
    if not isinstance(sent, int) or not isinstance(received, int) or sent <= 0 or received < 0:
        return None
    details: object = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    cached = cast("dict[str, object]", details).get("cached_tokens") if isinstance(details, dict) else None
    return Usage(sent, received, min(max(cached, 0), sent) if isinstance(cached, int) else 0)


def _strings(value: object) -> Iterator[str]:
    """The text within, but no pictures and files, which stand as data: URLs."""
    if isinstance(value, str):
        if not value.startswith("data:"):
            yield value
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _strings(each)
    elif isinstance(value, dict):
        for name, each in cast("dict[str, object]", value).items():
            if name not in NO_TEXT:
                yield from _strings(each)
