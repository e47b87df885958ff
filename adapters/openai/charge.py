"""What a call took: tokens as the provider counted them, or estimated; their price, where one is known."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

from roost.actors import Work
from roost.actors.models.prices import cost, cost_cached
from roost.actors.models.usage import Usage, estimate_tokens

from .call import Call
from .reading import Reading
from .words import words_of

KIND = "model"


async def work_of(call: Call, reading: Reading) -> Work:
    """The work behind an answer. A price is looked up in the installed list, never on the network."""
    counted = _counted(reading.usage)
    usage = counted or Usage(estimate_tokens(*words_of(call.body)), estimate_tokens(*reading.texts))
    if call.official and "genai_prices" not in sys.modules:  # a fifth of a second, in which the loop has other work
        price = await asyncio.to_thread(cost, call.label, usage, public=True)
    else:
        price = cost(call.label, usage, public=call.official)
    return Work(
        kind=KIND, model=call.label, calls=1, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens, cost_usd=price, tokens_estimated=counted is None,
        cost_cached_usd=cost_cached(call.label, usage, public=call.official),
    )  # fmt: skip


def estimated_tokens(call: Call) -> int:
    """How many tokens a request may take: what is to be read, and what may be answered where that is bounded."""
    most = (call.body.get(name) for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"))
    answer = next((given for given in most if isinstance(given, int) and given > 0), 0)
    return estimate_tokens(*words_of(call.body)) + answer


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
    if not isinstance(cached, int):
        return Usage(sent, received)
    return Usage(sent, received, min(max(cached, 0), sent), tells_cached=True)
