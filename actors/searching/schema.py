"""The schema of an index: what its tables hold, in SQLite, whose FTS5 keeps which notes have which terms.

meta     name, value: epoch and position of the log, what the next note is numbered, counts of notes and words
notes    each note that is searched: its number in the log's order, ID, when it was written, part, words, packed terms
words    term, in how many notes it occurs
parts    of each: how many notes and terms were put in, since when (ms) it has some that are gone, whether to hurry
p<N>     part N: an FTS5 table without content, some thousand notes

Terms of a note that goes can be taken out of FTS5 only by marks that say so; what is there stays until it is merged
with them. So there are parts: one that has lost notes is made again of the packed terms of the others, and the pages
that it had are wiped.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

FORMAT = 1
"""Raised when what the tables hold changes, the words of the tokenizer with it: then an index is made anew."""
BUSY_S = 10.0

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE notes (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, ms INTEGER NOT NULL, n INTEGER NOT NULL, part INTEGER NOT NULL,
  length INTEGER NOT NULL, terms BLOB NOT NULL, marks BLOB NOT NULL
);
CREATE INDEX notes_by_time ON notes (ms, n);
CREATE INDEX notes_by_part ON notes (part);
CREATE TABLE words (term BLOB PRIMARY KEY, notes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE parts (
  part INTEGER PRIMARY KEY, notes INTEGER NOT NULL, terms INTEGER NOT NULL, gone_ms INTEGER, urgent INTEGER NOT NULL
);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Opens an index, made if it is not there, readable to this user alone. What is deleted is overwritten."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=1024
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cache_size = -65536")
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def make_part(connection: sqlite3.Connection, part: int) -> None:
    """No content, no positions: who has which term is all that is asked of it."""
    connection.execute(
        f"CREATE VIRTUAL TABLE p{part} USING fts5(terms, content='', columnsize=0, detail=none, tokenize='ascii')"
    )
