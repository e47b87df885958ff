"""The spool: entries that came back from a mirror, put in order in a file that nobody else sees."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from ..errors import RoostError
from ..position import Position
from ..restoration import ORDER, Kept
from .message import Mirrored, NotMirrored, mirrored_of
from .place import Place
from .source import Record

MOST = 2**53
"""Up to here a server keeps the numbers of a position exactly."""
CACHE_KB = 16 * 1024
PAGE = 500
TABLES = """
CREATE TABLE entry (shard INTEGER, ms INTEGER, seq INTEGER, mirror INTEGER, kind TEXT, subject BLOB, ver INTEGER,
                    seems BLOB, meta BLOB, raw BLOB, data BLOB);
CREATE UNIQUE INDEX place ON entry (shard, ms, seq, mirror);
CREATE TABLE note (shard INTEGER, note TEXT, digest TEXT, size INTEGER, gone INTEGER DEFAULT 0,
                   PRIMARY KEY (shard, note)) WITHOUT ROWID;
CREATE INDEX named ON note (shard, digest, gone);
CREATE TABLE chunk (shard INTEGER, digest TEXT, number INTEGER, size INTEGER, chunks INTEGER, value BLOB);
CREATE UNIQUE INDEX part ON chunk (shard, digest, number);
"""
"""`seems` is the subject of an entry that is no event of Roost's, but looks like one: see `Kept`."""


class SpoolFull(RoostError):
    """There is no room to put a mirror in order."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The event at `position` has version `version` of its subject, and the one before it there is `before`."""

    position: Position
    subject: str
    version: int
    before: int

    def __str__(self) -> str:
        if self.version > self.before + 1:
            missing = self.version - self.before - 1
            what = "an event" if missing == 1 else f"{missing:,} events"
            return f"{what} of {self.subject} before {self.position}"
        return f"{self.subject} has version {self.version} behind {self.before} at {self.position}"


class Spool:
    """Entries of all shards. Disk space is taken until `close`; memory is not taken by how many there are."""

    def __init__(self, *, most_pages: int | None = None) -> None:
        """`most_pages` of 4 KiB bound the file. Raises SpoolFull."""
        folder = Path(tempfile.mkdtemp(prefix="roost-restore-"))  # for this user's eyes only
        self._where = folder.parent
        self.strangers = 0
        """Messages that the bridge did not write."""
        self.unlike = 0
        """Messages that say something else of a place than another one does."""
        self.file = sqlite3.connect(folder / "spool", isolation_level=None, check_same_thread=False)
        with self.writing():
            for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KB}", "temp_store=FILE"):
                self.file.execute(f"PRAGMA {setting}")
            if most_pages is not None:
                self.file.execute(f"PRAGMA max_page_count={most_pages}")
            self.file.executescript(TABLES)
            self.file.execute("BEGIN")  # and never commit: whoever begins anew reads anew
        shutil.rmtree(folder)  # nothing is left behind, whatever this process dies of: the file goes when it is closed

    def close(self) -> None:
        self.file.close()

    @contextmanager
    def writing(self) -> Generator[None]:
        """Raises SpoolFull."""
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            raise SpoolFull(
                f"what was read cannot be put in order in {self._where}: {error}; it takes about as much room "
                "as the topics do: set TMPDIR to a directory with more"
            ) from error

    def add(self, records: Iterable[Record]) -> None:
        """Take a page of messages in. What comes twice counts once. Raises SpoolFull."""
        rows: list[tuple[Any, ...]] = []
        for record in records:
            try:
                rows.append(_row(mirrored_of(record.key, record.value, record.headers)))
            except (NotMirrored, ValueError):
                self.strangers += 1
        with self.writing():
            before = self.file.total_changes
            self.file.executemany(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
            )
            if self.file.total_changes - before < len(rows):
                self._compare(rows)

    def settle(self, places: Iterable[Place]) -> None:
        """Only what counts stays: nothing that was declared void, and nothing behind the places. Raises SpoolFull."""
        with self.writing():
            for place in places:
                for void in place.voids:
                    since = Position.parse(void.since)
                    self.file.execute(
                        "DELETE FROM entry WHERE shard = ? AND mirror < ? AND (ms, seq) > (?, ?)",
                        (place.shard, void.mirror, since.ms, since.seq),
                    )
                self.cut(place.at)
            self.file.execute(
                "DELETE FROM entry WHERE EXISTS (SELECT 1 FROM entry AS later WHERE later.shard = entry.shard AND "
                "later.ms = entry.ms AND later.seq = entry.seq AND later.mirror > entry.mirror)"
            )

    def cut(self, last: Position) -> None:
        """What stands behind that position in its shard is left out. Raises SpoolFull."""
        with self.writing():
            self.file.execute(
                "DELETE FROM entry WHERE shard = ? AND (ms, seq) > (?, ?)", (last.shard, last.ms, last.seq)
            )

    def last(self, shard: int, until_ms: int = MOST) -> Position | None:
        query = "SELECT ms, seq FROM entry WHERE shard = ? AND ms <= ? ORDER BY ms DESC, seq DESC LIMIT 1"
        found = self.file.execute(query, (shard, until_ms)).fetchone()
        return None if found is None else Position(shard, *found)

    def has(self, position: Position) -> bool:
        query = "SELECT 1 FROM entry WHERE shard = ? AND ms = ? AND seq = ?"
        return self.file.execute(query, (position.shard, position.ms, position.seq)).fetchone() is not None

    def count(self, shard: int, until_ms: int = MOST) -> int:
        where = "SELECT count(*) FROM entry WHERE shard = ? AND ms <= ?"
        return int(self.file.execute(where, (shard, until_ms)).fetchone()[0])

    def gaps(self, until_ms: int = MOST) -> Iterator[Gap]:
        """Where versions do not follow upon each other, though they did in the log."""
        found = self.file.execute(GAPS, (until_ms,))
        for shard, ms, seq, subject, version, before in found:
            yield Gap(Position(shard, ms, seq), subject.decode(errors="replace"), version, before)
        odd = "SELECT DISTINCT shard, seems FROM entry WHERE seems IS NOT NULL AND ms <= ?"
        for shard, subject in self.file.execute(odd, (until_ms,)).fetchall():
            yield from self._odd_gaps(shard, subject, until_ms)

    def entries(self, shard: int, until_ms: int = MOST, after: Position | None = None) -> Iterator[Kept]:
        """In the order of the log."""
        last = (-1, -1) if after is None else (after.ms, after.seq)
        query = (
            "SELECT ms, seq, kind, subject, ver, meta, raw, data FROM entry "
            "WHERE shard = ? AND ms <= ? AND (ms, seq) > (?, ?) ORDER BY ms, seq"
        )
        for ms, seq, kind, subject, ver, meta, raw, data in self._pages(query, shard, until_ms, *last):
            if raw is not None:
                yield Kept(Position(shard, ms, seq), _unpacked(raw), is_raw=True)
            else:
                values = (kind.encode(), subject, b"%d" % ver, meta, data)
                yield Kept(Position(shard, ms, seq), dict(zip(ORDER, values, strict=True)))

    def events(self, shard: int, kinds: tuple[str, ...], most: int = MOST, above: int = -1) -> Iterator[Kept]:
        """Those of these types, of which the milliseconds are over `above` and not over `most`."""
        marks = ", ".join("?" * len(kinds))
        query = (
            "SELECT ms, seq, kind, subject, ver, meta, data FROM entry "
            f"WHERE shard = ? AND ms > ? AND ms <= ? AND kind IN ({marks}) AND raw IS NULL ORDER BY ms, seq"
        )
        for ms, seq, kind, subject, ver, meta, data in self._pages(query, shard, above, most, *kinds):
            values = (kind.encode(), subject, b"%d" % ver, meta, data)
            yield Kept(Position(shard, ms, seq), dict(zip(ORDER, values, strict=True)))

    def _pages(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, while other tables are written."""
        cursor = self.file.execute(query, values)
        while page := cursor.fetchmany(PAGE):
            yield from page

    def _compare(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for row in rows:
            found = self.file.execute("SELECT * FROM entry WHERE (shard, ms, seq, mirror) = (?, ?, ?, ?)", row[:4])
            self.unlike += found.fetchone() != row

    def _odd_gaps(self, shard: int, subject: bytes, until_ms: int) -> Iterator[Gap]:
        query = (
            "SELECT ms, seq, ver, raw IS NOT NULL FROM entry "
            "WHERE shard = ? AND (subject = ? OR seems = ?) AND ms <= ? ORDER BY ms, seq"
        )
        before = 0
        for ms, seq, version, is_raw in self.file.execute(query, (shard, subject, subject, until_ms)):
            fits = version == before + 1 or (version == 1 and subject.startswith((b"key/", b"note/")))
            if fits:
                before = version
            elif not is_raw:
                yield Gap(Position(shard, ms, seq), subject.decode(errors="replace"), version, before)
                before = version


GAPS = """
SELECT shard, ms, seq, subject, ver, before FROM (
    SELECT shard, ms, seq, subject, ver, LAG(ver, 1, 0) OVER (PARTITION BY shard, subject ORDER BY ms, seq) AS before
    FROM entry WHERE subject IS NOT NULL AND ms <= ?1
    AND (shard, subject) NOT IN (SELECT shard, seems FROM entry WHERE seems IS NOT NULL)
) WHERE ver <> before + 1
AND NOT (ver = 1 AND (substr(subject, 1, 4) = CAST('key/' AS BLOB) OR substr(subject, 1, 5) = CAST('note/' AS BLOB)))
ORDER BY shard, ms, seq
"""
"""Versions of keys and notes begin anew at 1 when their events have left the log and nothing of them is left."""


def _row(mirrored: Mirrored) -> tuple[Any, ...]:
    """Raises ValueError for what no log can have."""
    ms, _, seq = mirrored.entry.partition(b"-")
    place = (mirrored.shard, int(ms), int(seq), mirrored.epoch)
    if not all(0 <= number < MOST for number in place):
        raise ValueError(place)
    fields = mirrored.fields
    if mirrored.is_raw:
        subject, version = _seems(fields)
        return *place, None, None, version, subject, None, _packed(fields), None
    version = int(fields[b"ver"])
    if not 0 < version < MOST:
        raise ValueError(version)
    return *place, fields[b"type"].decode(), fields[b"subject"], version, None, fields[b"meta"], None, fields[b"data"]


def _seems(fields: dict[bytes, bytes]) -> tuple[bytes | None, int | None]:
    if tuple(fields)[:5] != ORDER or not fields[b"ver"].isdigit() or len(fields[b"ver"]) > 15:
        return None, None
    return fields[b"subject"], int(fields[b"ver"])


def _packed(fields: dict[bytes, bytes]) -> bytes:
    return orjson.dumps([[b64encode(name).decode(), b64encode(value).decode()] for name, value in fields.items()])


def _unpacked(raw: bytes) -> dict[bytes, bytes]:
    return {b64decode(name): b64decode(value) for name, value in cast("list[list[str]]", orjson.loads(raw))}
