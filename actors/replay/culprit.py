"""The culprit: whose frame it is that has reached something, among those on the stack."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import thread as pool
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple


class Whose(Enum):
    """Whose code a frame runs."""

    HANDLER = 1
    """The user's: of an actor, or of what an actor has called."""
    LIBRARY = 2
    """Of Python or a library: it acts for whoever called it."""
    CORE = 3
    """Roost's own, which answers for ctx: what it reaches is recorded, or no part of what a handler is told."""
    INERT = 4
    """Whatever happens within is no sin: the time stamp of a log line, an import that opens files."""
    FLOOR = 5
    """The event loop, or the start of a thread: what is below has nothing to do with it."""


STANDARD = os.path.dirname(os.__file__) + os.sep
HERE = str(Path(__file__).parents[2]) + os.sep
ROOT = str(Path(__file__).resolve().parents[2]) + os.sep
"""Where the rooms are, seen through their links or past them."""
INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

INERT = frozenset(
    {
        "logging", "structlog", "opentelemetry", "warnings", "traceback", "linecache", "inspect", "tokenize",
        "importlib", "pkgutil", "zoneinfo", "encodings", "_strptime", "tqdm", "rich",
    }
)  # fmt: skip
ROOMS = ("otel/", "streams/", "projections/", "actors/", "adapters/", "dashboard/", "cli/", "__init__.py", "openai.py")
"""What stands beside them, such as examples and tests, is a handler's."""
HANDLERS = ("actors/report/", "actors/mapreduce/")
"""Of Roost itself: its own actors."""
LIBRARIES = ("actors/models/", "actors/documents/", "adapters/", "openai.py")
"""Of Roost itself: what a handler may call on its own account."""

WORKER: Any = pool.__dict__["_worker"]
"""What a pool's thread runs, one piece of work after the other."""

FLOORS: set[CodeType] = {
    asyncio.Handle._run.__code__,  # pyright: ignore[reportPrivateUsage]  # where a task's step begins
    asyncio.Runner.run.__code__,  # loops that are not Python's have no other frame
    threading.Thread.__dict__["_bootstrap_inner"].__code__,  # where a thread begins
    WORKER.__code__,
}


ASIDE = threading.local()
"""Of a thread: `is_aside` while it does Roost's own work in a handler's context."""


def is_aside() -> bool:
    """Whether this thread does Roost's own work, though the context is a handler's."""
    return getattr(ASIDE, "is_aside", False)


class Culprit(NamedTuple):
    """A handler's frame, or what stands for it; the library's frame that it called, if that was not itself."""

    where: str
    through: tuple[str, str] | None
    """Module and function."""
    is_sure: bool
    """Whether a frame of the handler was found: a task of a library has none."""


def find_culprit(frame: FrameType | None) -> Culprit | None:
    """Who has reached what that frame is about to: None if it was Roost itself, or nothing that counts."""
    found: Culprit | None = None
    inner: FrameType | None = None
    floor: FrameType | None = None
    while frame is not None:
        whose = whose_code(frame.f_code)
        if whose is Whose.INERT:  # a handler's function that makes its log lines, too
            return None
        if whose is Whose.CORE and found is None:
            return None
        if whose is Whose.CORE or whose is Whose.FLOOR:
            floor = frame
            break
        if whose is Whose.HANDLER and found is None:
            found = Culprit(place_of(frame), None if inner is None else function_of(inner), True)
        if found is None:
            inner = frame
        frame = frame.f_back
    if found is not None:
        return found
    return _without_frame(inner, floor)


def _without_frame(inner: FrameType | None, floor: FrameType | None) -> Culprit | None:
    """A library's own task or thread has it: what began it is the culprit, or is not known."""
    begun = floor.f_locals.get("begun_at") if floor is not None and floor.f_code in FLOORS else None
    where = begun if isinstance(begun, str) else "in a task that it began"
    return Culprit(where, None if inner is None else function_of(inner), False)


def whose_code(code: CodeType) -> Whose:
    """Whose code that is."""
    if code in FLOORS:
        return Whose.FLOOR
    if code.co_name == "<module>":  # a module that is imported just now, or the program itself
        return Whose.LIBRARY
    if code.co_filename == "<string>" and code.co_name.startswith("__"):  # made by dataclasses
        return Whose.LIBRARY
    return _whose_file(code.co_filename)


@lru_cache(maxsize=10_000)
def _whose_file(path: str) -> Whose:
    for root in (HERE, ROOT):
        inside = path.removeprefix(root).replace(os.sep, "/")
        if inside != path and inside.startswith(ROOMS):
            if inside.startswith(HANDLERS):
                return Whose.HANDLER
            return Whose.LIBRARY if inside.startswith(LIBRARIES) else Whose.CORE
    return _whose_elsewhere(path)


def trust(owner: type) -> None:
    """The package of an actor that was installed like any library is a handler's code all the same."""
    module = sys.modules.get(owner.__module__)
    path: str = getattr(module, "__file__", None) or ""
    for installed in INSTALLED:
        before, found, inside = path.rpartition(installed)
        if found and (home := before + found + inside.split(os.sep, 1)[0]) not in _installed_handlers:
            _installed_handlers.append(home)
            _whose_file.cache_clear()


_installed_handlers: list[str] = []
"""Folders, or files, of actors that are installed."""


def _whose_elsewhere(path: str) -> Whose:
    if any(path == home or path.startswith(home + os.sep) for home in _installed_handlers):
        return Whose.HANDLER
    if path.startswith("<frozen "):
        return Whose.INERT if path.startswith("<frozen importlib") else Whose.LIBRARY
    for installed in INSTALLED:
        if installed in path:
            return Whose.INERT if _package(path.rpartition(installed)[2]) in INERT else Whose.LIBRARY
    if path.startswith(STANDARD):
        return Whose.INERT if _package(path.removeprefix(STANDARD)) in INERT else Whose.LIBRARY
    return Whose.LIBRARY if path.startswith("<attrs ") else Whose.HANDLER


def is_of_python(path: str) -> bool:
    """Whether a file belongs to Python itself."""
    if any(installed in path for installed in INSTALLED):
        return False
    return path.startswith((STANDARD, "<frozen "))


def _package(path: str) -> str:
    return path.split(os.sep, 1)[0].removesuffix(".py")


def place_of(frame: FrameType) -> str:
    """A frame's place as people look for it: the function around a lambda or a comprehension is its name."""
    code = frame.f_code
    names = [name for name in code.co_qualname.split(".") if not name.startswith("<")]
    return f"{os.path.basename(code.co_filename)}, line {frame.f_lineno}, in {names[-1] if names else code.co_name}"


def function_of(frame: FrameType) -> tuple[str, str]:
    """Module and name of the function that a frame runs; the module's name is empty for what was made at run time."""
    module = frame.f_globals.get("__name__")
    if frame.f_code.co_filename.startswith("<string>") or not isinstance(module, str):
        return "", ""
    return module, frame.f_code.co_qualname
