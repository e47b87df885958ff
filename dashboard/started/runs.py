"""The runs that were started from the page: so many at once, the last ones kept, none left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from roost.streams import RoostError, new_id

from .child import Child
from .order import RunOrder, RunRefused
from .run import FILES, SAID, STOP, StartedRun
from .uploads import Upload

AT_ONCE = 2
KEPT = 20
ANSWERS_AT_ONCE = 2
ANSWER_WITHIN = timedelta(seconds=60)
PRINTED = "printed"
NOT_HANDED_ON = ("ROOST_DASH_TOKEN", "ROOST_DASH_WRITE_TOKEN")


class CommandFailed(RoostError):
    """A command that the page has started says what is wrong."""


class StartedRuns:
    """One a process; its methods may be called from any thread.

    `command` is what begins a command of Roost's; `environment` says, over that of this process, where the memory is:
    what is secret stands there alone. What was uploaded lies in a directory that only this user may enter, until the
    run that reads it is over.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, at_once: int = AT_ONCE) -> None:
        self._command = list(command)
        own = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
        self._environment = own | dict(environment)
        self._at_once = at_once
        self._lock = threading.Lock()
        self._runs: list[StartedRun] = []
        self._beginning = 0
        self._closed = False
        self._answers = threading.BoundedSemaphore(ANSWERS_AT_ONCE)
        self._directory: Path | None = None

    def runs(self) -> list[StartedRun]:
        """Those that are kept, the newest first."""
        with self._lock:
            return self._runs[::-1]

    def run(self, id: str) -> StartedRun | None:
        """The one of that ID, which is not the run's own."""
        with self._lock:
            return next((run for run in self._runs if run.id == id), None)

    def start(self, order: RunOrder, files: Sequence[Upload]) -> StartedRun:
        """Start a run over these files. Raises RunRefused."""
        words = order.arguments()
        _check_files(files)
        with self._lock:
            if self._closed:
                raise RunRefused("The page is about to end.")
            at_work = self._beginning + sum(not run.stands().is_over for run in self._runs)
            if at_work >= self._at_once:
                raise RunRefused(f"{at_work} runs that were started here are at work: wait for one, or stop it.")
            self._beginning += 1
        try:
            return self._begin(order, words, files)
        finally:
            with self._lock:
                self._beginning -= 1

    def plan(self, order: RunOrder, files: Sequence[Upload]) -> dict[str, Any]:
        """What a run over these files would do; nothing is called. Raises RunRefused, CommandFailed."""
        words = order.arguments(plan=True)
        _check_files(files)
        printed = self._answer(["run", *words, "--json"], files)
        try:
            plan: dict[str, Any] = orjson.loads(printed)
        except orjson.JSONDecodeError:
            raise CommandFailed("the plan cannot be read") from None
        return plan

    def page_of(self, run: str) -> bytes:
        """What `roost report --html` makes of a run of this flock. Raises CommandFailed."""
        return self._answer(["report", run, "--html", "-"], ())

    def close(self) -> None:
        """End all that work, as Ctrl-C does, and wait for it."""
        with self._lock:
            self._closed = True
            runs = list(self._runs)
        for run in runs:
            run.stop()
        for run in runs:
            if not run.wait(STOP):
                run.kill()
                run.wait(STOP)
        with self._lock:
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)

    def _begin(self, order: RunOrder, words: Sequence[str], files: Sequence[Upload]) -> StartedRun:
        id = new_id()
        directory = self._place(id)
        try:
            paths = _keep(files, directory)
            argv = [*self._command, "run", *words, "--json", "--log-json", "--", *map(str, paths)]
            child = Child(argv, self._environment, directory / PRINTED)
        except OSError as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise RunRefused(f"The run cannot be started ({error.strerror}).") from None
        run = StartedRun(id, order, tuple(file.name for file in files), child, directory, self._let_go)
        with self._lock:
            self._runs.append(run)
            closed = self._closed
        if closed:
            run.stop()
        return run

    def _let_go(self) -> None:
        """Of runs that are over, the oldest."""
        with self._lock:
            over = [run for run in self._runs if run.stands().is_over]
            for run in over[: max(0, len(self._runs) - KEPT)]:
                self._runs.remove(run)

    def _answer(self, words: Sequence[str], files: Sequence[Upload]) -> bytes:
        """What a command prints that takes seconds. Raises CommandFailed."""
        if not self._answers.acquire(timeout=ANSWER_WITHIN.total_seconds()):
            raise CommandFailed("others are waiting for plans and reports, too; try again in a minute")
        directory = self._place(new_id())
        try:
            paths = _keep(files, directory)
            argv = [*self._command, *words, *(["--", *map(str, paths)] if paths else [])]
            child = Child(argv, self._environment, directory / PRINTED)
            return _printed(child, directory)
        except OSError as error:
            raise CommandFailed(f"a command cannot be started ({error.strerror})") from None
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            self._answers.release()

    def _place(self, id: str) -> Path:
        with self._lock:
            if (
                self._directory is None or not self._directory.is_dir()
            ):  # what is old in there is cleared on many machines
                self._directory = Path(tempfile.mkdtemp(prefix="roost-page-"))  # for this user alone: 0700
            place = self._directory / id
        place.mkdir(mode=0o700)
        return place


def _check_files(files: Sequence[Upload]) -> None:
    if not files:
        raise RunRefused("There is nothing to read: drop a file that can be read.")


def _keep(files: Sequence[Upload], directory: Path) -> list[Path]:
    folder = directory / FILES
    folder.mkdir(mode=0o700)
    paths = [folder / file.name for file in files]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file.content)
    return paths


def _printed(child: Child, directory: Path) -> bytes:
    """What it prints, if it ends well and in time. Raises CommandFailed."""
    late = threading.Timer(ANSWER_WITHIN.total_seconds(), child.kill)
    late.start()
    said = ""
    while (line := child.line()) is not None:
        said = line.removeprefix(SAID).rstrip() if line.startswith(SAID) else said
    code = child.end()
    in_time = late.is_alive()
    late.cancel()
    printed = child.printed()
    if code == 0 and printed is not None:
        return printed
    if not in_time:
        said = f"no answer within {ANSWER_WITHIN.total_seconds():.0f} s"
    raise CommandFailed(said.replace(f"{directory / FILES}/", "") or f"the command ended with {code}")
