"""A note on a card: its record, its content, its lineage."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click

from roost.otel.span_links import SpanLinks
from roost.projections import Ancestor, Branch, Lineage, OddData, RecordedWork, Use
from roost.streams import Note, NoteRecord
from roost.streams.amounts import SHORT_ID, shorten_ids, show_iso, show_moment, show_size, show_span
from roost.streams.printable import printable
from roost.streams.trust import UNCHECKED

from .json_lines import dump_safely
from .terminal import foreign, is_plain, show, write

LINES, CHARACTERS = 40, 4000
"""Of a note's content that a terminal is given."""
READABLE = 0.9
"""Share of characters of stored bytes that must be readable to be shown as text."""


def as_json(note: Note | None, lineage: Lineage | None, links: SpanLinks) -> dict[str, Any]:
    """Everything; content that is not text is in base64. Without the note, when it no longer lives, the lineage."""
    document: dict[str, Any] = {}
    if note is not None:
        record = note.record
        text = record.form in ("text", "json")
        document = {
            "id": note.id,
            "key": note.key,
            "author": note.author,
            "run": note.run,
            "size": note.size,
            "form": record.form,
            "digest": record.digest,
            "tags": note.tags,
            "sources": note.sources,
            "about": record.about,
            "trust": record.trust,
            "vouched": record.vouched,
            "written": show_iso(record.written_ms),
            "expires_in_s": None if (left := _remaining(note)) is None else left.total_seconds(),
            "position": None if note.position is None else str(note.position),
            "work": note.work,
            "traceparent": record.traceparent,
            "url": links.url(record.traceparent),
            ("content" if text else "content_base64"): note.content if text else b64encode(note.raw).decode(),
        }
    return document if lineage is None else document | {"lineage": links.added(lineage.to_data())}


def show_note(note: Note | None, lineage: Lineage | None, links: SpanLinks) -> None:
    """To standard output, for people."""
    if note is not None:
        show(_record_table(note))
        link = links.tell(note.record.traceparent)
        if link:
            write(f"{_bold('Span')}      {link}")  # apart from the table, which would break it in two
        write("", *_content_lines(note))
    if lineage is None:
        return
    if note is None:
        fate = lineage.note.fate
        write(_bold(f"{lineage.note.id}  {_facts_of(lineage.note)}"), f"Its content is gone: it {_FATES[fate]}.")
    for title, branch in (("Made from", lineage.sources), ("Built on it", lineage.built)):
        lines = list(_branch_lines(branch, "", links))
        write("", _bold(title), *(lines or ["nothing that the log tells of"]))
    uses = [_linked(f"{_flat(use.actor or 'somebody')} {_show_use(use)}", use, links) for use in lineage.note.uses]
    if lineage.note.more_uses:
        uses.append(f"and {lineage.note.more_uses:,} more")
    write("", _bold("Used by"), *(uses or ["nobody yet"]))


_FATES = {"expired": "has expired", "forgotten": "was forgotten", "unknown": "is not in the log", "kept": "is gone"}


def _record_table(note: Note) -> Any:
    from rich.table import Table

    rows = Table.grid(padding=(0, 3, 0, 0))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    record, left = note.record, _remaining(note)
    facts = {
        "Note": note.id,
        "Key": note.key or "",
        "Author": note.author or "",
        "Run": note.run or "",
        "Written": f"{show_moment(record.written_ms)}{'' if note.position is None else f', at {note.position}'}",
        "Expires": "never" if left is None else f"in {show_span(left)}",
        "Size": f"{show_size(note.size)} of {record.form}",
        "Tags": ", ".join(note.tags),
        "Trust": show_trust(record),
        "Sealed": _show_keys(len(record.about)),
        "Sources": ", ".join(source[:SHORT_ID] for source in note.sources),
        "Work": "" if note.work is None else _show_work(note.work),
    }
    for name, fact in facts.items():
        if fact:
            rows.add_row(name, foreign(fact, wrap=True))
    return rows


def show_trust(record: NoteRecord) -> str:
    """Its label, where it has one: for people."""
    vouched = f", vouched for by {record.author or 'its author'}" if record.vouched else ""
    return f"{record.trust}{vouched}" if record.trust != UNCHECKED or vouched else ""


def _show_keys(count: int) -> str:
    return "" if not count else "under 1 key" if count == 1 else f"under {count} keys together"


def _show_work(data: dict[str, Any]) -> str:
    """What computing it took: summarize by openai/x, 0.8 s, 1 call, 1,200 + 90 tokens, $0.0021."""
    try:
        work = RecordedWork.from_data(data)
    except OddData:
        return "recorded in a way that cannot be read"
    facts = [work.kind if work.model is None else f"{work.kind} by {work.model}"]
    facts.append(show_span(timedelta(microseconds=work.micros)))
    if work.model is not None:
        facts.append("1 call" if work.calls == 1 else f"{work.calls:,} calls")
        estimated = " (estimated)" if work.tokens_estimated else ""
        facts.append(f"{work.input_tokens:,} + {work.output_tokens:,} tokens{estimated}")
        facts.append("price unknown" if work.cost_usd is None else f"${work.cost_usd.normalize():f}")
    return ", ".join(facts)


def _content_lines(note: Note) -> list[str]:
    if note.record.form == "json":
        text = dump_safely(note.content, pretty=True)
    else:
        text = printable(note.raw.decode(errors="replace"))
        unreadable = note.raw.count(0) + text.count("�") + text.count("\\x")
        if note.record.form == "bytes" and unreadable > len(text) * (1 - READABLE):
            return [_dim(f"{note.size:,} bytes that are no text; --raw prints them")]
    if not sys.stdout.isatty():
        return [text]
    lines = text[:CHARACTERS].split("\n")[:LINES]
    left = len(text) - len("\n".join(lines))
    return lines if left <= 0 else [*lines, _dim(f"… {left:,} more characters; --raw prints all")]


def _remaining(note: Note) -> timedelta | None:
    import time

    return None if note.expires is None else timedelta(seconds=max(0.0, note.expires - time.monotonic()))


def _linked(line: str, about: Ancestor | Use, links: SpanLinks) -> str:
    link = links.tell(about.traceparent)
    return f"{line}  {link}" if link else line


def _branch_lines(branch: Branch, indent: str, links: SpanLinks) -> Iterator[str]:
    rest = [f"and {branch.more:,} more"] if branch.more else []
    last = len(branch.branches) - 1 + len(rest)
    for index, each in enumerate(branch.branches):
        elbow, stem = ("└─ ", "   ") if index == last else ("├─ ", "│  ")
        again = "  (its branches stand elsewhere)" if each.again else ""
        line = f"{indent}{elbow}{_bold(_flat(each.note.id[:SHORT_ID]))}  {_facts_of(each.note)}{again}"
        yield _linked(line, each.note, links)
        yield from _branch_lines(each, indent + stem, links)
    for line in rest:
        yield f"{indent}└─ {line}"


def _facts_of(note: Ancestor) -> str:
    facts = [note.label or shorten_ids(note.key or "")]
    if note.author:
        facts.append(f"by {note.author}")
    if note.kind and note.kind != "work":
        facts.append(note.kind)
    if note.trust is not None:
        facts.append(note.trust)
    if note.fate != "unknown":
        facts.append(show_size(note.size))
    if note.fate != "kept":
        facts.append(f"({_FATES[note.fate]})")
    if note.uses:
        readers = {use.actor for use in note.uses}
        facts.append(f"used by {len(readers) + note.more_uses}{'+' if note.more_uses else ''}")
    return _flat("  ".join(fact for fact in facts if fact))


def _show_use(use: Use) -> str:
    times = "once" if use.count == 1 else f"{use.count:,} times"
    what = {"read": "read it", "found": "found it instead of computing", "joined": "waited for it instead of computing"}
    return f"{what[use.how]} {times}{'' if use.run is None else f' in run {_flat(use.run[:SHORT_ID])}'}"


def _flat(text: str) -> str:
    return printable(text).replace("\n", "\\n")


def _bold(text: str) -> str:
    return text if is_plain() else click.style(text, bold=True)


def _dim(text: str) -> str:
    return text if is_plain() else click.style(text, dim=True)
