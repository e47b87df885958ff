"""The guard: while handlers are done again, it names what they reach around ctx, and refuses what writes or calls.

Two hooks see it. Python's audit tells of files, connections and processes before they happen, whoever causes them;
a profile hook sees the functions in C that a handler calls, by whatever name it has imported them.

Not seen: what C calls without Python (`partial(time.time)`, `map(…)`, clients that are written in another language),
functions of numpy.random that were imported by name before, the environment, and threads that were there before the
guard and take their work from a queue of their own. Clocks that only measure (`time.monotonic`, `time.perf_counter`)
are not named: they are of use for differences only, and a difference that is emitted shows in what is compared.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from .around import ACTING, Acting, Around, ReachedAround
from .carried import carry, carry_no_more
from .culprit import trust
from .watched_calls import profile_around
from .watched_events import event_seen
from .watched_libraries import leave_numpy, watch_numpy

__all__ = ["Around", "Guard", "ReachedAround"]

_guards: list[Guard] = []
"""Those that are on, the last one last."""
_is_audited = False
"""An audit hook cannot be removed: there is one for the whole life of the process, once there was a guard."""


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _guards:
        event_seen(event, args)


class Guard:
    """Around a check, in the thread of its event loop: `with Guard() as guard:`. What is no handler's is left alone."""

    def __enter__(self) -> Guard:
        global _is_audited
        if not _is_audited:
            sys.addaudithook(_audit)
            _is_audited = True
        self._profile: Any = sys.getprofile()
        self._thread_profile: Any = threading.getprofile()
        see = profile_around(self._profile)
        if not _guards:
            carry(see)
            watch_numpy()
        _guards.append(self)
        threading.setprofile(see)
        sys.setprofile(see)
        return self

    def __exit__(self, *_: object) -> None:
        threading.setprofile(self._thread_profile)
        _restore(self._profile)
        _guards.remove(self)
        if not _guards:
            carry_no_more()
            leave_numpy()

    @contextmanager
    def acting(self, actor: object = None) -> Generator[list[Around]]:
        """What begins in this block, in tasks and threads too, is a handler's, of this actor. Yields the list of what
        it reaches around ctx: up to 100 entries, each once; tasks that outlive the block still add to it.

        The actor is needed only where its package is installed: it would be taken for a library."""
        if actor is not None:
            trust(type(actor))
        watch_numpy()  # a handler may have imported it
        acting = Acting()
        token = ACTING.set(acting)
        try:
            yield acting.found
        finally:
            ACTING.reset(token)

    @contextmanager
    def aside(self) -> Generator[None]:
        """What begins in this block is nobody's handler, though one may have asked for it."""
        token = ACTING.set(None)
        try:
            yield
        finally:
            ACTING.reset(token)


def _restore(profile: Any) -> None:
    if profile is None or callable(profile):
        sys.setprofile(profile)
        return
    sys.setprofile(None)
    profile.enable()  # cProfile's, which is no function
