"""Why a file is not taken for a run."""

from __future__ import annotations

from ..errors import RoostError


class RunFileUnusable(RoostError):
    """The file of a run cannot be read or written; the message says why."""


def unreadable(name: str, error: OSError) -> RunFileUnusable:
    """What the system said, as a sentence."""
    if isinstance(error, FileNotFoundError):
        return RunFileUnusable(f"there is no file {name}")
    if isinstance(error, IsADirectoryError):
        return RunFileUnusable(f"{name} is a directory: name the file of a run in it")
    return RunFileUnusable(f"{name} cannot be read: {error.strerror or error}")


def damaged(name: str, how: str) -> RunFileUnusable:
    """The file is not as `roost export` wrote it; `how` goes on behind a colon."""
    return RunFileUnusable(f"{name} is damaged: {how}. Nothing of it was used; get it again from where it came from")
