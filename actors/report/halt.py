"""The halt: when every further call of the model would fail alike, this process makes none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..completion import Guard
from ..mapreduce import GiveUp
from ..models import Completion


class Halt:
    """Why this process makes no more calls for its run; None as long as it does."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def guard(self, further: Guard | None) -> Guard:
        """To be asked before each model call, ahead of another guard: sections that already wait for their turn when
        the run is halted must not call either."""

        async def before() -> Callable[[Completion], Awaitable[None]]:
            if self.reason is not None:
                raise GiveUp(self.reason)
            return _nothing if further is None else await further()

        return before


async def _nothing(_: Completion) -> None:
    """What there is to do after a call without a budget."""
