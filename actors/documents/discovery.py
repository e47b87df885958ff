"""Discovery: from the arguments that a person gives to the documents they mean."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from glob import has_magic
from pathlib import Path

from .address import check_url
from .errors import NoSuchDocument, NothingToRead, TooManyDocuments
from .limits import Limits
from .source import Discovery, Skipped, Source
from .walk import walk, why_not

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def discover(arguments: Sequence[str], *, allow_private: bool = False, limits: Limits | None = None) -> Discovery:
    """The documents that `arguments` mean: files, directories, globs, URLs, and `-` for standard input.

    In the order given, directories sorted, each document once. Nothing is fetched. Raises NoSuchDocument for a path or
    glob that leads nowhere, AddressRefused for a URL that names a private address, TooManyDocuments, and NothingToRead
    when all was passed over.
    """
    search = _Search(limits or Limits(), allow_private)
    for argument in arguments:
        search.add(argument)
    return search.result()


class _Search:
    def __init__(self, limits: Limits, allow_private: bool) -> None:
        self._limits = limits
        self._allow_private = allow_private
        self._sources: dict[str, Source] = {}
        self._skipped: dict[str, Skipped] = {}
        self._skipped_more = 0

    def add(self, argument: str) -> None:
        if argument == "-":
            self._keep(Source("stdin", "-", "standard input"))
        elif _URL.match(argument):
            url = check_url(argument, allow_private=self._allow_private)
            self._keep(Source("url", url, url))
        else:
            self._add_path(argument)

    def result(self) -> Discovery:
        skipped = tuple(self._skipped.values())
        if self._sources:
            return Discovery(tuple(self._sources.values()), skipped, self._skipped_more)
        if not skipped:
            raise NothingToRead("there is nothing to read; name files, folders, URLs, or - for standard input")
        first, more = skipped[0], len(skipped) + self._skipped_more - 1
        others = f", and {more:,} more were passed over" if more else ""
        raise NothingToRead(f"there is nothing to read: {first.location} {first.reason}{others}")

    def _add_path(self, argument: str) -> None:
        given = Path(os.path.expanduser(argument))
        try:
            found = given.exists()
        except OSError as error:  # a name too long, a folder that may not be entered
            raise NoSuchDocument(
                f"{argument}: cannot be read ({(error.strerror or '').lower()}); check the path"
            ) from None
        if not found:
            if not has_magic(argument):
                raise NoSuchDocument(f"{argument}: no such file or folder; check the path")
            self._add_glob(argument, os.path.expanduser(argument))
        elif given.is_dir():
            self._add_directory(given)
        else:
            self._add_file(given)

    def _add_glob(self, argument: str, pattern: str) -> None:
        found = False
        for path in _matches(pattern):
            found = True
            if not path.is_dir():
                self._add_file(path)
            elif "**" not in pattern:
                self._add_directory(path)
        if not found:
            raise NoSuchDocument(f"{argument}: nothing matches; check the pattern")

    def _add_directory(self, given: Path) -> None:
        root = Path(os.path.realpath(given))
        for path in walk(root, self._limits, self._skip):
            self._keep_file(path, given / path.relative_to(root))

    def _add_file(self, given: Path) -> None:
        path = Path(os.path.realpath(given))
        reason = why_not(path) or (why_not(given) if given.name != path.name else None)
        if reason:
            self._skip(path, reason)
        else:
            self._keep_file(path, given)

    def _keep_file(self, path: Path, shown: Path) -> None:
        try:
            size = path.stat().st_size
        except OSError as error:
            self._skip(path, f"cannot be read: {(error.strerror or '').lower()}")
        else:
            self._keep(Source("file", str(path), str(shown), size))

    def _keep(self, source: Source) -> None:
        self._sources.setdefault(source.location, source)
        if len(self._sources) > self._limits.files:
            raise TooManyDocuments(f"over {self._limits.files:,} documents; name fewer, or read them in several runs")

    def _skip(self, path: Path, reason: str) -> None:
        location = str(path)
        if location not in self._skipped and len(self._skipped) >= self._limits.skips:
            self._skipped_more += 1
        else:
            self._skipped.setdefault(location, Skipped(location, reason))


def _matches(pattern: str) -> Iterator[Path]:
    """What a glob matches, sorted. `**` goes through no links, and hidden names want a dot in the pattern."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if has_magic(part))
    start = Path(*parts[:fixed])
    rest = "/".join(parts[fixed:]) + ("/*" if parts[-1] == "**" else "")
    dotted = any(part.startswith(".") for part in parts[fixed:])
    for path in sorted(set(start.glob(rest))):
        if dotted or not any(part.startswith(".") for part in path.relative_to(start).parts):
            yield path
