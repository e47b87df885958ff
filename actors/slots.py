"""The slots: where an actor's handlers run, so many at once, each delivery in a context of its own.

A task for each delivery would cost more than many a handler does. So one task handles deliveries one after the other,
as long as they end without waiting. The first that waits keeps the task for itself, and the others go on in a new one:
whoever asks for the current task, as time limits do, is told the same one from its first step to its last.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextvars import Context
from types import CoroutineType, coroutine
from typing import Any, Generic, TypeVar, cast

TURN_S = 0.05
"""How long items that wait for nothing are done one after the other before the event loop has its turn: what they have
led to must get away, too."""

T = TypeVar("T")
R = TypeVar("R")
Steps = Coroutine[Any, Any, R]


class Slots(Generic[T, R]):
    """Lets at most `count` items be worked on at once; others wait in their order.

    `ended` is told of each item that was begun how it ended: with what its steps answered, or None when they were
    cancelled. Each is worked on in a copy of `context`.
    """

    def __init__(self, count: int, ended: Callable[[T, R | None], None], name: str, context: Context) -> None:
        self.count = count
        self._ended = ended
        self._name = name
        self._context = context
        self._queue: deque[tuple[T, Callable[[T], R | Steps[R]]]] = deque()
        self._taken = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._taker: asyncio.Task[None] | None = None
        """The one task that takes from the queue."""
        self._closed = False

    @property
    def free(self) -> int:
        return self.count - self._taken - len(self._queue)

    def begin(self, items: Iterable[T], work: Callable[[T], R | Steps[R]]) -> None:
        """Let `work` be done on each of the items, as soon as there is a slot. It answers how that ended, or the steps
        that are left. After `close` nothing is begun."""
        self._queue.extend([(item, work) for item in items])
        self._go_on()

    def withdraw(self, work: Callable[[T], R | Steps[R]]) -> list[T]:
        """Take back those of which `work` is to be done, and was not begun."""
        taken = [item for item, todo in self._queue if todo == work]
        self._queue = deque(each for each in self._queue if each[1] != work)
        return taken

    def close(self) -> tuple[list[T], list[asyncio.Task[None]]]:
        """Begin nothing more: what was not begun, and the tasks of what was."""
        self._closed = True
        left = [item for item, _ in self._queue]
        self._queue.clear()
        return left, list(self._tasks)

    def _go_on(self) -> None:
        if self._taker is None and self._queue and self._taken < self.count and not self._closed:
            self._taker = asyncio.create_task(self._take(), name=self._name)
            self._tasks.add(self._taker)
            self._taker.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._taker is task:  # cancelled before its first step
            self._taker = None
        self._go_on()  # a task that was cancelled, or failed, has let nobody else go on

    async def _take(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        until = time.monotonic() + TURN_S
        # A handler may have asked for its own cancellation: that must not meet another.
        while self._queue and self._taken < self.count and not task.cancelling() and time.monotonic() < until:
            item, work = self._queue.popleft()
            context = self._context.copy()
            result: R | None = None
            self._taken += 1
            try:
                begun = context.run(work, item)
                if not isinstance(begun, CoroutineType):
                    result = cast(R, begun)
                    continue
                steps = cast(Steps[R], begun)
                waits_for = context.run(steps.send, None)
                # It waits, and the task is its own from here on.
                self._taker = None
                self._go_on()
                result = await rest(steps, waits_for, context)
            except StopIteration as ended:
                result = ended.value
                continue
            except asyncio.CancelledError:
                if task.cancelling():
                    raise
            finally:
                self._taken -= 1
                self._ended(item, result)
            break
        if self._taker is task:
            self._taker = None
        self._go_on()


@coroutine
def rest(steps: Steps[R], waits_for: Any, context: Context | None = None) -> Generator[Any, Any, R]:
    """What steps answer that have been begun, and wait for something. Each of them is taken in that context, if any."""
    while True:
        try:
            given = yield waits_for
            resume: Callable[[Any], Any] = steps.send
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:
            resume, given = steps.throw, error
        try:
            waits_for = resume(given) if context is None else context.run(resume, given)
        except StopIteration as ended:
            result: R = ended.value
            return result
