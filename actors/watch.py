"""The watch: sees from another thread that an event loop does not go on, and what keeps it."""

from __future__ import annotations

import asyncio
import linecache
import sys
import threading
import time
from dataclasses import dataclass
from types import FrameType

from roost.streams import Delivery

from .call import Call

MAX_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Blocked:
    """An event loop that has not gone on for that long, what it does, and for which delivery, as far as that is known.

    `stack` has the handler's innermost calls, a line for each, the last one last.
    """

    seconds: float
    delivery: Delivery | None
    handler: str
    stack: str

    def __str__(self) -> str:
        what = f"{self.handler or 'something'} has kept the event loop from going on for {self.seconds:.0f} s"
        if self.delivery is None:
            return what
        event, token = self.delivery.event, self.delivery.token
        return f"{what}: delivery {token.entry} of {token.inbox}, event {event.id} ({event.type})"


class Watch:
    """Of the loop in which it is made; all else is for the other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._asked = False
        self._silent_s = 0.0
        self._looked = 0.0

    def look(self, pause_s: float) -> float:
        """For how many seconds the loop has not gone on. `pause_s` is how long ago the last look was to be: a process
        that was frozen itself, and its loop with it, has not been blocked meanwhile."""
        now = time.monotonic()
        if self._asked:
            self._silent_s += min(now - self._looked, 2 * pause_s)
        else:
            self._silent_s, self._asked = 0.0, True
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # it was closed: nobody waits for it any more
                self._asked = False
        self._looked = now
        return self._silent_s

    def _answer(self) -> None:
        self._asked = False

    def tell(self) -> Blocked:
        """What keeps it now."""
        frame = sys._current_frames().get(self._thread)  # pyright: ignore[reportPrivateUsage]  # there is no other way
        frames: list[FrameType] = []
        found: Call | None = None
        while frame is not None and (found := _call_in(frame)) is None:  # from there on outwards it is Roost's own
            frames.append(frame)
            frame = frame.f_back
        handler = "" if found is None else f"{found.scope.reader.actor}.{found.handler.name}"
        lines = [_line_of(each) for each in reversed(frames[:MAX_FRAMES])]
        return Blocked(self._silent_s, None if found is None else found.delivery, handler, "\n".join(lines))


def _line_of(frame: FrameType) -> str:
    path, line = frame.f_code.co_filename, frame.f_lineno
    return f"{path}, line {line}, in {frame.f_code.co_name}: {linecache.getline(path, line).strip()}"


def _call_in(frame: FrameType) -> Call | None:
    """The call of a handler, if this is one's frame."""
    found = frame.f_locals.get("self") if frame.f_code.co_filename.endswith("call.py") else None
    return found if isinstance(found, Call) else None
