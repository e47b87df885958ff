"""The watchdog of a process that works: it ends a process whose event loop is blocked, so that others take over."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from .failure import tell

if TYPE_CHECKING:
    from roost.actors import Flock
    from roost.actors.watch import Blocked

BLOCKED = 3
"""Exit code of a process that ended itself because its event loop was blocked."""
LAST_CALL = timedelta(seconds=3)


class Watchdog:
    """Of one process. `guard` lets a flock's heartbeat call it; nothing of it needs the event loop."""

    def guard(self, flock: Flock) -> None:
        self._lease_s = flock.heartbeat.delivery_lease.total_seconds()
        flock.heartbeat.on_blocked = self._end
        flock.heartbeat.on_beat = self._arm

    def leave(self, flock: Flock) -> None:
        """The process ends in order: what does not let it, a thread or a task that goes on, has a few seconds more."""
        flock.heartbeat.on_beat = None
        faulthandler.cancel_dump_traceback_later()
        timer = threading.Timer(LAST_CALL.total_seconds(), self._leave)
        timer.daemon = True
        timer.start()

    def _end(self, blocked: Blocked) -> None:
        tell(f"{blocked}; this process ({os.getpid()}) ends, and others take over what it has in hand")
        for line in blocked.stack.splitlines():
            tell(line)
        sys.stderr.flush()
        os._exit(BLOCKED)

    def _arm(self, most_s: float) -> None:
        """Code that keeps all threads from running, as an extension in C may, keeps the heartbeat from it, too."""
        if most_s > 0:
            faulthandler.dump_traceback_later(most_s + 2 * self._lease_s, exit=True, file=sys.__stderr__ or sys.stderr)
        else:
            faulthandler.cancel_dump_traceback_later()

    def _leave(self) -> None:
        tell(f"something in process {os.getpid()} goes on though it was cancelled: the process ends without it")
        sys.stderr.flush()
        os._exit(0)
