"""Carried: a handler that gives work to a thread still is who does it, and is seen there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

from .around import ACTING, Acting, ReachedAround
from .culprit import ASIDE, FLOORS, WORKER, Culprit, find_culprit
from .watched_calls import CALLS, Profile

SUBMIT = ThreadPoolExecutor.submit
START = Thread.start
START_PROCESS = BaseProcess.start


class Carried:
    """A function that a thread will call: a handler's, begun at that place, or Roost's own, which stands aside."""

    __slots__ = ("_acting", "_begun_at", "_call", "_see")

    def __init__(self, call: Callable[..., Any], acting: Acting, begun_at: str | None, see: Profile) -> None:
        self._call = call
        self._acting = acting
        self._begun_at = begun_at
        self._see = see

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        begun_at = self._begun_at  # whoever looks for the culprit reads it here
        profile = sys.getprofile()
        acting = ACTING.set(None if begun_at is None else self._acting)
        aside, ASIDE.is_aside = getattr(ASIDE, "is_aside", False), begun_at is None
        sys.setprofile(self._see)  # threads that are older than the guard have none
        try:
            return self._call(*args, **kwargs)
        finally:
            sys.setprofile(profile)
            ACTING.reset(acting)
            ASIDE.is_aside = aside


FLOORS.add(Carried.__call__.__code__)


def carry(see: Profile) -> None:
    """From now on threads and pools carry who has given them work, and `see` is their profile hook meanwhile."""

    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        acting = ACTING.get()
        if acting is None:
            return SUBMIT(self, fn, *args, **kwargs)
        culprit = find_culprit(sys._getframe(1))  # pyright: ignore[reportPrivateUsage]
        if culprit is not None:
            _note_calls(acting, culprit, fn, *args)
        return SUBMIT(self, Carried(fn, acting, culprit and culprit.where, see), *args, **kwargs)

    def start(self: Thread) -> None:
        acting = ACTING.get()
        culprit = None
        if acting is not None and getattr(self, "_target", None) is not WORKER:  # a pool's thread serves others, too
            culprit = find_culprit(sys._getframe(1))  # pyright: ignore[reportPrivateUsage]
        if acting is not None and culprit is not None:
            self.run = Carried(self.run, acting, culprit.where, see)  # type: ignore[method-assign]  # of this one
        START(self)

    def start_process(self: BaseProcess) -> None:
        acting = ACTING.get()
        culprit = None if acting is None else find_culprit(sys._getframe(1))  # pyright: ignore[reportPrivateUsage]
        if acting is not None and culprit is not None:
            raise ReachedAround(acting.note("starts a process", culprit.where, "process"))
        START_PROCESS(self)

    _put(submit, start, start_process)


def carry_no_more() -> None:
    """Threads and pools are as they were."""
    _put(SUBMIT, START, START_PROCESS)


def _put(submit: Any, start: Any, start_process: Any) -> None:
    ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]  # whoever has the class has it, too
    Thread.start = start  # type: ignore[method-assign]
    BaseProcess.start = start_process  # type: ignore[method-assign]


def _note_calls(acting: Acting, culprit: Culprit, *given: Any) -> None:
    """Functions in C that a thread is to call: it calls them without a frame that could be seen."""
    for each in given:
        if isinstance(each, partial):
            _note_calls(acting, culprit, each.func, *each.args)
            continue
        try:
            known = CALLS.get(each)
        except TypeError:  # no hash
            continue
        if known is not None:
            acting.note(known[1], culprit.where, known[0])
