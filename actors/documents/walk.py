"""Walking a directory for documents, in sorted order, past what is hidden, ignored, secret or no document."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from .errors import TooManyDocuments
from .ignore import Ignored, ignored_above
from .limits import Limits
from .media import advice_for, ending_of, is_binary, media_of
from .secret import holds_secret, is_secret_name

_HEAD_BYTES = 8_192

Report = Callable[[Path, str], None]


def why_not(path: Path) -> str | None:
    """Why a file is not to be read, from its name, its kind and its first bytes; None when it may be."""
    if is_secret_name(path):
        return "by its name it holds keys or passwords; rename a copy if it does not"
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            return "is not a regular file; use - to read standard input"
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        return f"cannot be read: {_words(error)}"
    if not head:
        return "is empty"
    if holds_secret(head):
        return "is a private key"
    if is_binary(head) and not ending_of(media_of(path.name, head)):
        return f"is a binary file; {advice_for(path.name)}"
    return None


def walk(root: Path, limits: Limits, report: Report) -> Iterator[Path]:
    """The files below `root`, a real path, that may be read; what is passed over is reported.

    Links are not followed: what they lead to inside of `root` is found where it stands, and what is outside was not
    asked for.
    """
    seen = 0
    left: list[tuple[os.DirEntry[str] | None, Path, Ignored]] = [(None, root, ignored_above(root))]
    while left:
        entry, path, ignored = left.pop()
        if entry is not None and not entry.is_dir(follow_symlinks=False):
            reason = why_not(path)
            if reason is None:
                yield path
            else:
                report(path, reason)
            continue
        try:
            with os.scandir(path) as found:
                entries = sorted(found, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            report(path, f"cannot be read: {_words(error)}")
            continue
        seen += len(entries)
        if seen > limits.entries:
            raise TooManyDocuments(f"{root}: has over {limits.entries:,} entries; name the files or folders you mean")
        ignored = ignored.within(path)
        left += [(entry, Path(entry.path), ignored) for entry in entries if _wanted(entry, root, ignored, report)]


def _wanted(entry: os.DirEntry[str], root: Path, ignored: Ignored, report: Report) -> bool:
    path = Path(entry.path)
    if entry.name == ".git":
        return False  # nobody expects it to be read
    if entry.name.startswith("."):
        report(path, "is hidden")
    elif entry.is_symlink():
        target = Path(os.path.realpath(path))
        if not target.exists():
            report(path, "is a link that leads nowhere")
        elif not target.is_relative_to(root):
            report(path, f"is a link that leads out of {root}; name its target to read it")
    elif ignored.matches(path, is_directory=entry.is_dir(follow_symlinks=False)):
        report(path, "is ignored by .gitignore")
    else:
        return True
    return False


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
