"""What a gzip file holds, as a stream that keeps little of it, and ends where the file does, or with an error."""

from __future__ import annotations

import io
import zlib
from typing import Any, BinaryIO

from .refusal import RunFileUnusable, damaged, unreadable

GZIP = b"\x1f\x8b"
WINDOW = 31  # zlib's word for gzip with its header and its checksum
CHUNK = 64 * 1024


class Inflated(io.RawIOBase):
    """The unpacked bytes of a file. Reading raises RunFileUnusable: no gzip, damaged, cut off, followed by anything
    else, or unpacking to more than `most` bytes.

    The standard library's own reader passes over zeros behind the end, and over a second member.
    """

    def __init__(self, file: BinaryIO, name: str, most: int) -> None:
        super().__init__()
        self._file = file
        self._name = name
        self._most = most
        self._left = most
        self._inflater = zlib.decompressobj(WINDOW)
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._inflater.eof:
            packed = self._inflater.unconsumed_tail or self._next()
            try:
                found = self._inflater.decompress(packed, len(buffer))
            except zlib.error:
                raise damaged(self._name, "its bytes do not unpack") from None
            if found:
                self._left -= len(found)
                if self._left < 0:
                    raise RunFileUnusable(
                        f"{self._name} unpacks to more than {self._most:,} bytes: "
                        "if you trust it, allow more (--max-bytes)"
                    )
                buffer[: len(found)] = found
                return len(found)
            if not packed and not self._inflater.eof:
                raise damaged(self._name, "its end is missing")
        if self._inflater.unused_data or self._next():
            raise damaged(self._name, "something follows behind its end")
        return 0

    def _next(self) -> bytes:
        try:
            packed = self._file.read(CHUNK)
        except OSError as error:
            raise unreadable(self._name, error) from error
        if not self._begun:
            self._begun = True
            if not packed:
                raise RunFileUnusable(f"{self._name} is empty: it is no recorded run")
            if not packed.startswith(GZIP[: len(packed)]):
                raise RunFileUnusable(f"{self._name} is no recorded run: `roost export` writes such files")
        return packed
