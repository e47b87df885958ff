"""A sliding view of a file's bytes, so that a text of any size is read with little memory."""

from __future__ import annotations

import os

_CHUNK_BYTES = 256 * 1024


class Window:
    """The bytes of open file `descriptor` from `offset` on; `buffer[position:]` are read and not yet passed."""

    def __init__(self, descriptor: int, offset: int = 0) -> None:
        self._descriptor = descriptor
        self._read_to = offset
        self._ended = False
        self.buffer = b""
        self.position = 0

    @property
    def offset(self) -> int:
        """Where in the file the view begins."""
        return self._read_to - len(self.buffer) + self.position

    @property
    def size(self) -> int:
        """Bytes at hand."""
        return len(self.buffer) - self.position

    def begins_line(self) -> bool:
        """Whether the view begins where a line does."""
        if self.position:
            return self.buffer[self.position - 1 : self.position] == b"\n"
        return not self.offset or os.pread(self._descriptor, 1, self.offset - 1) == b"\n"

    def fill(self, count: int) -> None:
        """Have at least `count` bytes at hand, or all that is left."""
        if self._ended or self.size >= count:
            return
        parts = [self.buffer[self.position :]]
        held = self.size
        while held < count and not self._ended:
            chunk = os.pread(self._descriptor, max(_CHUNK_BYTES, count - held), self._read_to)
            self._ended = not chunk
            self._read_to += len(chunk)
            held += len(chunk)
            parts.append(chunk)
        self.buffer = b"".join(parts)
        self.position = 0

    def peek(self, count: int) -> bytes:
        return self.buffer[self.position : self.position + count]
