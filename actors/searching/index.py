"""The index of one shard: which of its live notes have which terms, as of a position of the log."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from roost.streams import Position

from .place import IndexUnusable, make_folder
from .schema import FORMAT, connect, make_part
from .terms import TERM_BYTES, pack, token, unpacked
from .weights import Census

PART_NOTES = 4096
PART_TERMS = 400_000
"""Most notes, and most terms of notes, in a part: it is made again when one of them is forgotten."""
EXPIRED_REST_MS = 10 * 60 * 1000
"""So long the terms of expired notes may stay in a part, which is then made again for all of them at once."""
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH})
CURRENT = "current"
"""Names the file of the index. A new one gets another name: who has the old one open must not touch the new."""


class IndexDamaged(Exception):
    """The file is no index, or not all of one."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """A note as it is put into an index: where its event stands, its terms in their order, and its tags and author."""

    id: str
    position: Position
    terms: list[bytes]
    marks: list[bytes]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an index has come: an epoch of the log, and the last event that it has taken in. `due`: it has parts to
    be made again."""

    epoch: str
    position: Position | None
    due: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A note that has terms that were asked for."""

    seq: int
    id: str
    ms: int
    length: int
    terms: bytes


class Index:
    """May be called from any thread, and used by several processes at once; one of them writes, under the lock.

    Every method raises IndexUnusable where the disk does not let it, and IndexDamaged."""

    def __init__(self, folder: Path, shard: int) -> None:
        self.folder = folder
        self._shard = shard
        self._guard = threading.RLock()
        self._opened: tuple[int, str, sqlite3.Connection] | None = None

    @property
    def exists(self) -> bool:
        return (self.folder / CURRENT).exists()

    def close(self) -> None:
        with self._guard:
            self._let_go()

    def standing(self) -> Standing | None:
        """None when nothing was indexed yet."""
        if not self.exists:
            return None
        with self._reading() as db:
            told = dict(db.execute("SELECT name, value FROM meta WHERE name IN ('epoch', 'position')").fetchall())
            due = bool(_due(db))
        if "epoch" not in told:
            return None
        position = told.get("position")
        return Standing(told["epoch"], None if position is None else Position.parse(position, shard=self._shard), due)

    def begin(self, epoch: str) -> None:
        """Throw away what is there, and begin with the log of this epoch. For who holds the lock."""
        with self._guard, self._explained():
            self._let_go()
            make_folder(self.folder)
            old = [path for path in self.folder.iterdir() if path.name.startswith("v")]
            name = f"v{FORMAT}-{secrets.token_hex(4)}.db"
            db = connect(self.folder / name)
            db.execute("INSERT INTO meta VALUES ('epoch', ?), ('next', 1), ('notes', 0), ('words', 0)", (epoch,))
            fresh = self.folder / f"{CURRENT}.new"
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(name)
            fresh.replace(self.folder / CURRENT)
            self._opened = (os.getpid(), name, db)
            for path in old:
                with suppress(FileNotFoundError):
                    path.unlink()

    def remove(self) -> None:
        """Throw away all of it, and keep nothing."""
        with self._guard, self._explained():
            self._let_go()
            for path in list(self.folder.iterdir()) if self.folder.exists() else ():
                if path.name != "lock":
                    path.unlink(missing_ok=True)

    def write(
        self, added: Sequence[Indexed], forgotten: Sequence[str], expired: Sequence[str], position: Position
    ) -> None:
        """Take in what the log tells up to a position, in one transaction with that. For who holds the lock. What was
        forgotten is in no file any more afterwards."""
        with self._writing() as db:
            counts, change, urgent = self._counts(db), Counter[bytes](), set(forgotten)
            for note_id in (*forgotten, *expired, *(note.id for note in added)):
                self._take_out(db, note_id, counts, change, urgent=note_id in urgent)
            self._put_in(db, added, counts, change)
            counts["position"] = position.entry
            _keep(db, counts, change)
        self.purge()

    def drop(self, note_id: str) -> None:
        """Take out a note that was forgotten, before its time comes in the log: that leaves the position as it is. For
        who holds the lock. It is in no file any more afterwards."""
        with self._writing() as db:
            counts, change = self._counts(db), Counter[bytes]()
            self._take_out(db, note_id, counts, change, urgent=True)
            _keep(db, counts, change)
        self.purge()

    def purge(self) -> int:
        """Make parts again that hold terms of notes that are gone; how many. Those of forgotten ones at once, those of
        expired ones when they have stayed for ten minutes. For who holds the lock."""
        with self._reading() as db:
            until = time.time_ns() // 1_000_000 - EXPIRED_REST_MS
            due = [
                part
                for (part,) in db.execute("SELECT part FROM parts WHERE urgent OR gone_ms < ?", (until,)).fetchall()
            ]
        for part in due:
            with self._writing() as db:
                _make_again(db, part)
        if due:
            self._wipe_log()
        return len(due)

    def census(self, asked: Sequence[bytes]) -> Census:
        with self._reading() as db:
            counts = self._counts(db)
            having = {
                term: row[0]
                for term in asked
                if (row := db.execute("SELECT notes FROM words WHERE term = ?", (term,)).fetchone()) is not None
            }
        return Census(int(counts["notes"]), int(counts["words"]), having)

    def having(
        self, terms: Sequence[bytes], most: int, since: tuple[int, int] | None = None
    ) -> list[Candidate]:  # fmt: skip
        """Notes that have all these terms, the newest first, so many at most; `since`: behind that place in the log."""
        match, found = " AND ".join(map(token, terms)), list[Candidate]()
        with self._reading() as db:
            first = 0
            if since is not None:
                row = db.execute(
                    "SELECT seq FROM notes WHERE (ms, n) > (?, ?) ORDER BY ms, n LIMIT 1", since
                ).fetchone()
                if row is None:
                    return []
                first = row[0]
            for (part,) in db.execute("SELECT part FROM parts ORDER BY part DESC").fetchall():
                rows = db.execute(
                    f"SELECT notes.seq, id, ms, length, notes.terms FROM p{part} JOIN notes ON seq = p{part}.rowid "
                    f"WHERE p{part} MATCH ? AND p{part}.rowid >= ? ORDER BY p{part}.rowid DESC LIMIT ?",
                    (match, first, most - len(found)),
                )
                found += [Candidate(*row) for row in rows]
                if len(found) >= most:
                    break
        return found

    def _counts(self, db: sqlite3.Connection) -> dict[str, int | str]:
        return dict(db.execute("SELECT name, value FROM meta WHERE name IN ('next', 'notes', 'words')").fetchall())

    def _take_out(
        self, db: sqlite3.Connection, note_id: str, counts: dict[str, int | str], change: Counter[bytes], *,
        urgent: bool,
    ) -> None:  # fmt: skip
        row = db.execute("SELECT seq, part, length, terms FROM notes WHERE id = ?", (note_id,)).fetchone()
        if row is None:
            return
        seq, part, length, terms = row
        db.execute("DELETE FROM notes WHERE seq = ?", (seq,))
        db.execute(
            "UPDATE parts SET gone_ms = coalesce(gone_ms, ?), urgent = urgent OR ? WHERE part = ?",
            (time.time_ns() // 1_000_000, urgent, part),
        )
        change.subtract(unpacked(terms))
        counts["notes"] = int(counts["notes"]) - 1
        counts["words"] = int(counts["words"]) - length

    def _put_in(
        self, db: sqlite3.Connection, added: Sequence[Indexed], counts: dict[str, int | str], change: Counter[bytes]
    ) -> None:  # fmt: skip
        row = db.execute("SELECT part, notes, terms FROM parts ORDER BY part DESC LIMIT 1").fetchone()
        part, held, size = row or (-1, PART_NOTES, 0)
        for note in added:
            packed, seq = pack(note.terms), int(counts["next"])
            terms = unpacked(packed)
            if held >= PART_NOTES or size + len(terms) > PART_TERMS:
                if part >= 0:
                    self._close_part(db, part, held, size)
                part, held, size = part + 1, 0, 0
                make_part(db, part)
                db.execute("INSERT INTO parts VALUES (?, 0, 0, NULL, 0)", (part,))
            marks = b"".join(note.marks)
            db.execute(
                "INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (seq, note.id, note.position.ms, note.position.seq, part, len(note.terms), packed, marks),
            )
            db.execute(f"INSERT INTO p{part} (rowid, terms) VALUES (?, ?)", (seq, _tokens(packed, marks)))
            change.update(terms)
            held, size = held + 1, size + len(terms)
            counts["next"], counts["notes"] = seq + 1, int(counts["notes"]) + 1
            counts["words"] = int(counts["words"]) + len(note.terms)
        db.execute("UPDATE parts SET notes = ?, terms = ? WHERE part = ?", (held, size, part))

    def _close_part(self, db: sqlite3.Connection, part: int, held: int, size: int) -> None:
        db.execute("UPDATE parts SET notes = ?, terms = ? WHERE part = ?", (held, size, part))
        db.execute(f"INSERT INTO p{part} (p{part}) VALUES ('optimize')")

    def _wipe_log(self) -> None:
        """What was overwritten in the file may still stand in the write-ahead log."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with self._reading() as db:
                if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
                    return
            time.sleep(0.01)  # somebody reads what was there before
        raise IndexUnusable(f"{self.folder}: somebody holds it open, and what is gone could not be wiped out")

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        with self._guard, self._explained():
            yield self._database()

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._let_go()
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            is_partial = code == sqlite3.SQLITE_IOERR_SHORT_READ or str(error).startswith("no such table")
            if is_partial or code & 0xFF in DAMAGED:
                raise IndexDamaged(f"{self.folder}: {error}") from error
            raise IndexUnusable(f"{self.folder}: {error}") from error
        except OSError as error:
            raise IndexUnusable(f"{self.folder}: {(error.strerror or str(error)).lower()}") from error

    def _database(self) -> sqlite3.Connection:
        """The present one: another process may have begun anew; after a fork none of the parent's."""
        try:
            name = (self.folder / CURRENT).read_text("utf-8")
        except FileNotFoundError:
            raise IndexDamaged(f"{self.folder}: there is no index") from None
        except UnicodeDecodeError:
            raise IndexDamaged(f"{self.folder}: {CURRENT} names no index") from None
        if self._opened is not None and self._opened[:2] == (os.getpid(), name):
            return self._opened[2]
        self._let_go()
        if not name.startswith(f"v{FORMAT}-") or "/" in name or not (self.folder / name).exists():
            raise IndexDamaged(f"{self.folder}: the index is of another format, or not there")
        db = connect(self.folder / name)
        self._opened = (os.getpid(), name, db)
        return db

    def _let_go(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] == os.getpid():
            with suppress(sqlite3.Error):
                opened[2].close()


def _keep(db: sqlite3.Connection, counts: dict[str, int | str], change: Counter[bytes]) -> None:
    """How many notes there are, and how many have each term."""
    db.executemany(
        "INSERT INTO words VALUES (?, ?) ON CONFLICT (term) DO UPDATE SET notes = notes + excluded.notes",
        [(term, count) for term, count in sorted(change.items()) if count],
    )
    db.executemany(
        "DELETE FROM words WHERE term = ? AND notes <= 0", [(t,) for t, count in change.items() if count < 0]
    )
    db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", counts.items())


def _tokens(packed: bytes, marks: bytes) -> str:
    named = [marks[first : first + TERM_BYTES] for first in range(0, len(marks), TERM_BYTES)]
    return " ".join(map(token, (*unpacked(packed), *named)))


def _due(db: sqlite3.Connection) -> list[int]:
    """Parts that are to be made again now."""
    until = time.time_ns() // 1_000_000 - EXPIRED_REST_MS
    rows = db.execute("SELECT part FROM parts WHERE urgent OR gone_ms < ?", (until,)).fetchall()
    return [part for (part,) in rows]


def _make_again(db: sqlite3.Connection, part: int) -> None:
    """A part without what is gone. A dropped table's pages are overwritten."""
    db.execute(f"DROP TABLE p{part}")
    [last] = db.execute("SELECT max(part) FROM parts").fetchone()
    kept = db.execute("SELECT seq, terms, marks FROM notes WHERE part = ? ORDER BY seq", (part,)).fetchall()
    if not kept and part != last:
        db.execute("DELETE FROM parts WHERE part = ?", (part,))
        return
    make_part(db, part)
    for seq, terms, marks in kept:
        db.execute(f"INSERT INTO p{part} (rowid, terms) VALUES (?, ?)", (seq, _tokens(terms, marks)))
    db.execute(f"INSERT INTO p{part} (p{part}) VALUES ('optimize')")
    db.execute("UPDATE parts SET gone_ms = NULL, urgent = 0 WHERE part = ?", (part,))
