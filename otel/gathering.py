"""Notes that are read together, in groups that a span each stands for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from typing import Any, TypeVar

from opentelemetry.context import attach
from opentelemetry.trace import Span, set_span_in_context

T = TypeVar("T")


class Gathering:
    """Reads each note in the span of its group."""

    def __init__(self, groups: Sequence[tuple[Span, Sequence[str]]]) -> None:
        self._groups = groups

    def tasks(self, read: Callable[[str], Coroutine[Any, Any, T]]) -> list[asyncio.Task[T]]:
        """A task for each note, in their order."""
        tasks: list[asyncio.Task[T]] = []
        for span, notes in self._groups:
            context = copy_context()
            context.run(attach, set_span_in_context(span))
            tasks += [asyncio.create_task(read(note), context=context.copy()) for note in notes]
        return tasks
