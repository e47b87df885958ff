"""Conducting a run: started, worked for by as many processes as ordered, shown as it goes, ended, told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from roost.actors import Flock
from roost.actors.report import RunStarted, end, follow, start, working
from roost.streams import Event, new_id

from .crew import Crew
from .order import Order
from .result import gather, to_document

Watch = Callable[[Event], None]
Gate = Callable[[], Awaitable[None]]


def spec_of(order: Order) -> RunStarted:
    """A new run of that order."""
    return RunStarted(
        run=new_id(),
        questions=order.questions,
        documents=tuple(source.name for source in order.sources),
        model=order.model,
        latency_ms=round(order.latency.total_seconds() * 1000),
        agents=order.agents,
        processes=order.processes,
        mode=order.mode,
        max_calls=order.max_calls,
        max_cost_usd=None if order.max_cost_usd is None else str(order.max_cost_usd),
        allow_private=order.allow_private,
    )


async def conduct(order: Order, url: str, flock_name: str, watch: Watch, *, gate: Gate | None = None) -> dict[str, Any]:
    """Make a run and answer its document. `gate` is waited for when all is ready and nothing has begun."""
    spec = spec_of(order)
    sharing = "cache" if order.mode == "cache" else "once"
    async with (
        Flock.open(flock_name, url, model=order.make_model(), sharing=sharing) as flock,
        AsyncExitStack() as stack,
    ):
        if gate is not None:
            await gate()
        since = await start(flock, spec, order.sources, order.spool)
        crew: Crew | None = None
        if order.processes > 1:
            crew = await stack.enter_async_context(Crew(order, url, flock_name, spec.run))
        else:
            await stack.enter_async_context(working(flock, spec, order.spool))
        finished = await _first(follow(flock, spec, since, watch), crew)
        await stack.aclose()
        await end(flock, spec, finished)
        return await to_document(flock, await gather(flock, spec.run, since))


async def _first(following: Any, crew: Crew | None) -> Any:
    """What the run came to, or the error of a crew that can go on no more."""
    if crew is None:
        return await following
    run, trouble = asyncio.ensure_future(following), asyncio.ensure_future(crew.trouble())
    try:
        await asyncio.wait([run, trouble], return_when=asyncio.FIRST_COMPLETED)
        return run.result() if run.done() else trouble.result()
    finally:
        run.cancel()
        trouble.cancel()
        await asyncio.gather(run, trouble, return_exceptions=True)
