"""Contents that came back from a mirror: those that notes still name, whole and as their digests say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from ..notes import MAX_NOTE_BYTES
from .chunk import Chunk, chunk_in, count_of
from .message import NotMirrored
from .source import Record
from .spool import Spool

MOST_CHUNKS = count_of(MAX_NOTE_BYTES)


@dataclass(frozen=True, slots=True)
class Fault:
    """A content that notes name and that cannot be brought back; `how` says why not."""

    shard: int
    digest: str
    how: str

    def __str__(self) -> str:
        return f"the content {self.digest} {self.how}"


class SpooledContents:
    """What notes name is told first; then the topic is read, and of it only that is kept."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file = spool.file

    def name(self, shard: int, note: str, digest: str, size: int) -> None:
        """A note of the shard has that content. Another that it had under the same ID is not its any more."""
        with self._spool.writing():
            self._file.execute("INSERT OR REPLACE INTO note VALUES (?, ?, ?, ?, 0)", (shard, note, digest, size))

    def forget(self, shard: int, note: str) -> None:
        """It has none any more."""
        with self._spool.writing():
            self._file.execute("DELETE FROM note WHERE shard = ? AND note = ?", (shard, note))

    def forget_later(self, shard: int, note: str) -> None:
        """It has that content as of what is restored, and lost it afterwards: it is not brought back."""
        with self._spool.writing():
            self._file.execute("UPDATE note SET gone = 1 WHERE shard = ? AND note = ?", (shard, note))

    def forgotten(self, shard: int) -> list[str]:
        """Notes that lost their contents after what is restored."""
        return [one for (one,) in self._file.execute("SELECT note FROM note WHERE shard = ? AND gone", (shard,))]

    def count(self, shard: int | None = None) -> int:
        """How many contents are wanted, of one shard or of all."""
        named = "SELECT DISTINCT shard, digest FROM note WHERE gone = 0 AND (?1 IS NULL OR shard = ?1)"
        return int(self._file.execute(f"SELECT count(*) FROM ({named})", (shard,)).fetchone()[0])

    def add(self, records: Iterable[Record]) -> None:
        """Take a page of messages in; what comes later counts. Raises SpoolFull."""
        with self._spool.writing():
            for record in records:
                try:
                    self._take(chunk_in(record.key, record.value, record.headers))
                except (NotMirrored, OverflowError):  # or numbers that no content has
                    self._spool.strangers += 1

    def digests(self, shard: int) -> Iterator[str]:
        """Of the contents of a shard that are wanted."""
        query = "SELECT DISTINCT digest FROM note WHERE shard = ? AND gone = 0 ORDER BY digest"
        return (digest for (digest,) in self._file.execute(query, (shard,)))

    def content(self, shard: int, digest: str) -> bytes | Fault:
        """A content, found whole."""
        query = "SELECT number, size, chunks, value FROM chunk WHERE shard = ? AND digest = ? ORDER BY number"
        rows = self._file.execute(query, (shard, digest)).fetchall()
        if not rows:
            return Fault(shard, digest, "is missing, and nobody has forgotten it")
        _, size, chunks, _ = rows[-1]
        if len(rows) != chunks or rows[-1][0] != chunks - 1:
            return Fault(shard, digest, f"is incomplete: {len(rows)} of {chunks} parts are there")
        content = b"".join(row[3] for row in rows)
        if len(content) != size or sha256(content).hexdigest() != digest:
            return Fault(shard, digest, "does not fit its digest")
        return content

    def faults(self, shard: int) -> Iterator[Fault]:
        """Each is read once, to find out."""
        for digest in self.digests(shard):
            found = self.content(shard, digest)
            if isinstance(found, Fault):
                yield found

    def _take(self, chunk: Chunk) -> None:
        place = (chunk.shard, chunk.digest, chunk.number)
        if chunk.value is None:
            self._file.execute("DELETE FROM chunk WHERE (shard, digest, number) = (?, ?, ?)", place)
        elif self._is_wanted(chunk.shard, chunk.digest) and 0 <= chunk.number < MOST_CHUNKS:
            self._file.execute(
                "INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?, ?, ?)",
                (*place, chunk.size, chunk.chunks, chunk.value),
            )

    def _is_wanted(self, shard: int, digest: str) -> bool:
        query = "SELECT 1 FROM note WHERE shard = ? AND digest = ? AND gone = 0 LIMIT 1"
        return self._file.execute(query, (shard, digest)).fetchone() is not None
