"""A document that is ready to be cut: its text as UTF-8 in a file, and what is known of it."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import DocumentChanged
from .line import Markup
from .media import markup_of
from .source import Source


@dataclass(frozen=True, slots=True)
class Opened:
    """Facts about a document's text. All are plain values, so that another process on this machine can cut it too.

    `text_path` is the document itself, or a spool (`spooled`) that `close` removes. `digest` is the SHA-256 of the text
    there, `size` its bytes. `encoding` is what the document was written in, `guessed` when nothing said so.
    """

    source: Source
    digest: str
    size: int
    media: str
    title: str
    text_path: str
    modified_ns: int
    spooled: bool = False
    encoding: str = "utf-8"
    guessed: bool = False
    url: str = ""
    """Where a download came from in the end, after redirects."""
    etag: str = ""
    last_modified: str = ""

    @property
    def markup(self) -> Markup:
        return markup_of(self.media)

    @contextmanager
    def reading(self) -> Generator[int]:
        """A descriptor of the text. Raises DocumentChanged when it is not, or by the end no longer, what was opened."""
        try:
            descriptor = os.open(self.text_path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DocumentChanged(
                f"{self.source.name}: cannot be read any more ({error.strerror}); read it anew"
            ) from None
        try:
            self._check(descriptor)
            yield descriptor
            self._check(descriptor)
        finally:
            os.close(descriptor)

    def _check(self, descriptor: int) -> None:
        facts = os.fstat(descriptor)
        if (facts.st_size, facts.st_mtime_ns) != (self.size, self.modified_ns):
            raise DocumentChanged(f"{self.source.name}: changed while it was being read; read it anew")

    def close(self) -> None:
        """Remove the spool, if there is one."""
        if self.spooled:
            Path(self.text_path).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
