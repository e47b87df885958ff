"""The notes that are looked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import streamlit as st

from roost.actors.searching.found import Found
from roost.actors.searching.newest import LOOK_AT
from roost.dashboard.annals.note_listing import ListedThen, Listing, list_notes, then
from roost.dashboard.contents import search_contents
from roost.dashboard.finder import ask_finder
from roost.dashboard.sight import Sight
from roost.dashboard.table import Column, Row, show_table
from roost.streams import RoostError
from roost.streams.amounts import SHORT_ID, abridge, show_size, show_span
from roost.streams.printable import printable

from .asked import CHOICES, Asked, address, asked_of, lead, write_address

PAGE = 50
OFFERED = 100
"""Names that are offered for a filter: those with the most notes."""
SEARCH_WITHIN = timedelta(seconds=10)
SNIPPET = 160
COLUMNS = (
    Column("Note", "wide"), Column("Author"), Column("Run", "id"), Column("Tags"), Column("Age", "when"),
    Column("Expires", "when"), Column("Size", "count"), Column("Reads", "count"), Column("Reused", "count"),
    Column("Calls saved", "count"), Column("ID", "id"),
)  # fmt: skip
INSIDE = (
    Column("Note", "wide"), Column("Begins with", "wide"), Column("Author"), Column("Run", "id"), Column("Age", "when"),
    Column("Size", "count"), Column("Reused", "count"), Column("ID", "id"),
)  # fmt: skip
FINDER = "finder"
FRESH_MS = 10_000
LISTED = "memory listed"
FOUND = "memory found"
HEARD = "memory heard"


def show_listing(sight: Sight, asked: Asked, now_ms: int) -> None:
    """A page of them, and what to look for. Leads on when somebody opens one."""
    asked = _heard(asked)
    trouble = ""
    snippets: dict[str, str] = {}
    if asked.inside:
        listing, snippets, trouble = _inside(sight, asked, now_ms)
    else:
        listing = _listed(sight, asked, now_ms)
    last = max(1, -(-listing.total // PAGE))
    ask_finder(FINDER, _finder(sight, asked, listing, trouble, last))
    if asked.inside:
        rows = [_found(note, now_ms, snippets.get(note.id, "")) for note in listing.rows]
    else:
        rows = [_row(note, now_ms) for note in listing.rows]
    empty = "No note is like that." if listing.known else "There are no notes yet. `roost demo` makes some."
    opened = show_table("notes", INSIDE if asked.inside else COLUMNS, rows, empty=empty, high=2_400)
    if opened is not None:
        lead(address(asked) | {"note": opened})


def _listed(sight: Sight, asked: Asked, now_ms: int) -> Listing:
    """Looked for anew when something has happened, a note that is shown expires, or some seconds have passed: of many
    notes it takes its time."""
    known: tuple[object, int, Listing] | None = st.session_state.get(LISTED)
    with sight.desk.annals.reading() as annals:
        question = (sight.at_ms, annals.generation, annals.notes.changes, asked.part, tuple(asked.values.items()))
        if known is not None and known[0] == question and now_ms < known[1]:
            return known[2]
        offset = (asked.part - 1) * PAGE
        listing = list_notes(annals.notes, asked.wanted, now_ms, sort=asked.sort, offset=offset, limit=PAGE)
    ends = [note.deadline_ms for note in listing.rows if note.deadline_ms is not None and note.deadline_ms > now_ms]
    st.session_state[LISTED] = (question, min([now_ms + FRESH_MS, *ends]), listing)
    return listing


def _inside(sight: Sight, asked: Asked, now_ms: int) -> tuple[Listing, dict[str, str], str]:
    """The notes with these words in them, the best first, with how they begin; looked for once, until something else is
    asked for."""
    question = (sight.at_ms, tuple(asked.values.items()))
    known: tuple[object, Found] | None = st.session_state.get(FOUND)
    trouble = ""
    if known is None or known[0] != question:
        listing = _candidates(sight, asked, now_ms)
        try:
            found = sight.desk.look(
                lambda shards: search_contents(
                    shards, listing.rows, asked.values["words"], complete=listing.total <= LOOK_AT
                ),
                timeout=SEARCH_WITHIN,
            )
            known = st.session_state[FOUND] = (question, found)
        except RoostError as error:
            return Listing((), 0, listing.known), {}, f"Contents could not be looked into: {error}."
    found = known[1]
    with sight.desk.annals.reading() as annals:
        past = annals.notes
        notes = [past.by_id.get(hit.record.id) for hit in found.hits]
        hits = [then(past, note, now_ms) for note in notes if note is not None]
        all_known = len(past)
    wanted = asked.wanted.fate
    hits = [
        note for note in hits if wanted == "all" or (note.fate == "kept") == (wanted == "kept")
    ]  # since it was found
    begin = (asked.part - 1) * PAGE
    begins = {hit.record.id: hit.begins for hit in found.hits if hit.begins}
    snippets = {note.id: _snippet(begins[note.id]) for note in hits[begin : begin + PAGE] if note.id in begins}
    if not found.complete:
        trouble = f"Only the newest {found.looked_at:,} of them were looked into."
    return Listing(tuple(hits[begin : begin + PAGE]), len(hits), all_known), snippets, trouble


def _candidates(sight: Sight, asked: Asked, now_ms: int) -> Listing:
    with sight.desk.annals.reading() as annals:
        return list_notes(annals.notes, replace(asked.wanted, words=""), now_ms, limit=LOOK_AT)


def _snippet(begins: str) -> str:
    return abridge(" ".join(begins[: 4 * SNIPPET].split()), SNIPPET)


def _finder(sight: Sight, asked: Asked, listing: Listing, trouble: str, last: int) -> dict[str, Any]:
    with sight.desk.annals.reading() as annals:
        past = annals.notes
        authors, tags = past.authors.most_common(OFFERED), past.tags.most_common(OFFERED)
        runs = list(past.runs)[-OFFERED:]
        let_go = past.let_go
    fitting = "note" if listing.total == 1 else "notes"
    told = f"{listing.total:,} {fitting} of {listing.known:,}"
    if asked.inside:
        told += ", by how well they fit"
    if let_go:
        told += f"; {let_go:,} older ones are no longer known here"
    return {
        "values": dict(asked.values),
        "choices": {name: [list(choice) for choice in choices] for name, choices in CHOICES.items()},
        "authors": [printable(name) for name, _ in authors],
        "runs": [printable(run) for run in reversed(runs)],
        "tags": [printable(name) for name, _ in tags],
        "told": f"{told}. {trouble}",
        "total": listing.total,
        "page": min(asked.part, last),
        "pages": last,
        "inside": asked.inside,
        "state": "now" if sight.at_ms is None else "past",
        "heard": st.session_state.get(HEARD, 0),
    }


def _heard(asked: Asked) -> Asked:
    """What is asked for since somebody has used the finder. It is taken before the finder is shown again, or each
    question would be answered twice: with the old notes, and with the new ones."""
    said: object = getattr(st.session_state.get(FINDER), "asked", None)
    if not isinstance(said, dict):
        return asked
    told = cast("dict[str, Any]", said)
    number, inside, part = told.get("n"), told.get("inside"), told.get("page")
    if isinstance(number, int):
        st.session_state[HEARD] = number
    new = asked_of(told)
    stays = asked.inside and new.values["words"] != ""
    new = replace(new, inside=inside and new.values["words"] != "" if isinstance(inside, bool) else stays)
    if isinstance(part, int):
        new = replace(new, part=max(1, min(part, 999_999)))
    write_address(address(new))
    return new


def _row(note: ListedThen, now_ms: int) -> Row:
    return Row(
        note.id,
        (
            _title(note),
            note.author or "",
            (note.run or "")[:SHORT_ID],
            abridge(", ".join(note.tags), 60),
            _span(now_ms - note.written_ms),
            "never" if note.deadline_ms is None else _span(note.deadline_ms - now_ms) if note.fate == "kept" else "",
            show_size(note.size),
            f"{note.reads:,}",
            f"{note.reused:,}",
            f"{note.saved.calls:,}" if note.saved is not None else "",
            note.id[:SHORT_ID],
        ),
        "" if note.fate == "kept" else "quiet",
    )


def _found(note: ListedThen, now_ms: int, snippet: str) -> Row:
    age, size = _span(now_ms - note.written_ms), show_size(note.size)
    run, short = (note.run or "")[:SHORT_ID], note.id[:SHORT_ID]
    cells = (_title(note), snippet, note.author or "", run, age, size, f"{note.reused:,}", short)
    return Row(note.id, cells, "" if note.fate == "kept" else "quiet")


def _title(note: ListedThen) -> str:
    return note.title if note.fate == "kept" else f"{note.title} ({note.fate})"


def _span(ms: int) -> str:
    return show_span(timedelta(milliseconds=max(0, ms)))
