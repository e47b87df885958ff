"""A run that was started from the page: its command, how far it is, and what it came to."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from .child import Child
from .order import RunOrder
from .outcome import Outcome, read_outcome
from .progress import Progress

State = Literal["running", "stopping", "done", "incomplete", "stopped", "failed"]
LINES = 50
FILES = "files"
"""The folder of its documents."""
SAID = "roost: "
STOP = timedelta(seconds=20)
"""What it is given to end in good order."""
TOO_MUCH = "the report is too large to be shown here; `roost note` shows it"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands. `said` is the last line that its command told; of one that failed, why."""

    state: State
    progress: Progress
    said: str
    seconds: float
    outcome: Outcome | None = None

    @property
    def is_over(self) -> bool:
        return self.state not in ("running", "stopping")


class StartedRun:
    """One run. `at_ms` is when it was started, by this machine's clock; `names` are its files'.

    `begun` is set once the log has it, or it is over.
    """

    def __init__(
        self, id: str, order: RunOrder, names: tuple[str, ...], child: Child, directory: Path, over: Callable[[], None]
    ) -> None:
        self.id, self.order, self.names = id, order, names
        self.at_ms = int(time.time() * 1000)
        self._child, self._directory, self._over = child, directory, over
        self._files = directory / FILES
        self.begun = threading.Event()
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._said: deque[str] = deque(maxlen=LINES)
        self._progress = Progress()
        self._stopping = False
        self._ended: Standing | None = None
        self._thread = threading.Thread(target=self._follow, name=f"roost started {id}", daemon=True)
        self._thread.start()

    def stands(self) -> Standing:
        """How it stands at this moment."""
        with self._lock:
            if self._ended is not None:
                return self._ended
            state: State = "stopping" if self._stopping else "running"
            return Standing(state, self._progress, self._last(), time.monotonic() - self._began)

    def stop(self) -> None:
        """End it as Ctrl-C does; what was computed stays."""
        with self._lock:
            first, self._stopping = not self._stopping, True
            if self._ended is not None or not first:
                return
        self._child.send(signal.SIGINT)
        threading.Thread(target=self._see_it_end, name=f"roost stopping {self.id}", daemon=True).start()

    def wait(self, timeout: timedelta) -> bool:
        """Whether it is over within that time."""
        self._thread.join(timeout.total_seconds())
        return not self._thread.is_alive()

    def kill(self) -> None:
        self._child.kill()

    def _see_it_end(self) -> None:
        if not self.wait(STOP):
            self.kill()

    def _follow(self) -> None:
        while (line := self._child.line()) is not None:
            progress = Progress.read(line)
            with self._lock:
                if progress is not None:
                    self._progress = progress
                    self.begun.set()
                elif line.startswith(SAID):
                    self._said.append(line.removeprefix(SAID).rstrip().replace(f"{self._files}/", ""))
        code = self._child.end()
        printed = self._child.printed()
        ended = self._conclude(code, printed)
        shutil.rmtree(self._directory, ignore_errors=True)  # its documents are in the log, as far as they are needed
        with self._lock:
            self._ended = ended
        self.begun.set()
        self._over()

    def _conclude(self, code: int, printed: bytes | None) -> Standing:
        outcome = None if printed is None else read_outcome(printed)
        seconds = time.monotonic() - self._began
        with self._lock:
            state: State = "failed"
            if outcome is not None:
                state = "done" if code == 0 else "incomplete"
            elif self._stopping and code != 0:
                state = "stopped"
            said = TOO_MUCH if printed is None else self._last()
            if state == "failed" and not said:
                said = f"the command was ended by a signal ({-code})" if code < 0 else f"the command ended with {code}"
            return Standing(state, self._progress, said, seconds, outcome)

    def _last(self) -> str:
        return self._said[-1] if self._said else ""
