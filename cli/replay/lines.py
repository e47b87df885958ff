"""A past run as lines: of JSON for programs, of words for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from rich.cells import cell_len, set_cell_size

from roost.streams.amounts import SHORT_ID
from roost.streams.printable import printable

from ..json_lines import escape_json
from .summary import Summary
from .told_event import Told

AGENT = 12
KIND = 18
LONGEST = 500
"""Characters of a line's last column where no terminal cuts it."""


class JsonLines:
    """Events as `roost log --json` prints them, each with how the memory stands after it."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._memory = orjson.Fragment(orjson.dumps(summary.figures))
        self._second = -1
        self._time = ""

    def line(self, told: Told) -> bytes:
        entry, kind, subject, version, meta, data, raw = told
        if self._summary.evolve(kind, data):
            self._memory = orjson.Fragment(orjson.dumps(self._summary.figures))
        get = meta.get
        line = orjson.dumps(
            {
                "position": entry,
                "time": self._iso(get("time", 0)),
                "id": get("id"),
                "type": kind,
                "subject": subject,
                "version": version,
                "actor": get("actor"),
                "run": get("run"),
                "cause": get("cause"),
                "traceparent": get("traceparent"),
                "schema": get("schema", 1),
                "data": data if raw is None or b"\n" in raw else orjson.Fragment(raw),
                "memory": self._memory,
            }
        )
        return line if line.isascii() and b"\x7f" not in line else escape_json(line.decode()).encode()

    def _iso(self, ms: Any) -> str:
        """As `show_iso`; a run has many events a second."""
        if ms.__class__ is not int:
            return str(ms)
        second, rest = divmod(ms, 1000)
        if second != self._second:
            self._second, self._time = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._time}.{rest:03}Z"


class PeoplesLines:
    """An event a line: seconds since the run began, who, what, and what of it matters to people."""

    def __init__(self, summary: Summary, columns: int) -> None:
        self._summary = summary
        self._columns = columns
        self._began_ms: int | None = None

    def line(self, told: Told) -> bytes:
        self._summary.evolve(told.kind, told.data)
        ms = told.ms
        if self._began_ms is None:
            self._began_ms = ms
        actor = told.meta.get("actor")
        line = (
            f"{(ms - self._began_ms) / 1000:9.3f}  {str(actor or '')[:AGENT]:<{AGENT}}  "
            f"{told.kind[:KIND]:<{KIND}}  {words_of(told)}"
        )
        if not line.isascii() or not line.isprintable():
            line = printable(line).replace("\n", "\\n").replace("\t", " ")
        if len(line) > self._columns // 2 and cell_len(line) > self._columns:
            line = set_cell_size(line, self._columns - 1) + "…"
        return line.encode()


def words_of(told: Told) -> str:
    """What of an event's data matters to people."""
    form = FORMS.get(told.kind)
    if form is not None and told.raw is not None:
        try:
            return str(form(told.data))
        except (KeyError, TypeError, ValueError):
            pass
    plain = told.data if told.raw is None else told.raw.decode(errors="replace")
    return str(plain)[:LONGEST]


def _short(ident: Any) -> str:
    return str(ident)[:SHORT_ID]


def _work(data: dict[str, Any]) -> str:
    work: dict[str, Any] = data.get("work") or {}
    spared = f", spared {work['seconds']:.2f} s" if "seconds" in work else ""
    return f"{data['how']} note {_short(data['note'])}{spared}"


def _computed(data: dict[str, Any]) -> str:
    what = data.get("label") or data["kind"]
    note = f"note {_short(data['note'])}" if data.get("note") else "too late: another's note is used"
    tokens = f", {data['input_tokens'] + data['output_tokens']} tokens" if "input_tokens" in data else ""
    return f"{what}: {note}, {data['seconds']:.2f} s{tokens}"


def _read(data: dict[str, Any]) -> str:
    return f"note {_short(data['note'])}" + ("" if data["count"] == 1 else f", {data['count']} times")


def _missed(data: dict[str, Any]) -> str:
    return f"there is no note {data['note']}" if data.get("note") else f"there is no note of the key {data['key']}"


def _handled(data: dict[str, Any]) -> str:
    return f"{data['handler']} on {data['type']}: {data['emitted']} events, {data['ms']:.0f} ms"


def _mapped(data: dict[str, Any]) -> str:
    return f"{data['label']}: {data['error'] or 'note ' + _short(data['mapped'])}"


def _closed(data: dict[str, Any]) -> str:
    return f"{data['label'] or data['stream']}: {data['error'] or str(data['batches']) + ' batches'}"


def _started(data: dict[str, Any]) -> str:
    return f"{len(data['questions'])} questions, {len(data['documents'])} documents, {data['model']}"


def _failed(data: dict[str, Any]) -> str:
    return f"{data['handler']} on {data['type']}: {data['error']}: {data['message']}"


FORMS: dict[str, Callable[[dict[str, Any]], str]] = {
    "note.written": lambda data: f"note {_short(data['note'])}, {data['size']} bytes",
    "note.read": _read,
    "note.missed": _missed,
    "notes.searched": lambda data: f"{data.get('text', 'words that are not told')}: {len(data['hits'])} hits",
    "work.claimed": lambda data: str(data.get("label") or data["key"]),
    "work.computed": _computed,
    "work.failed": lambda data: f"{data['error']}: {data['message']}",
    "work.reused": _work,
    "delivery.handled": _handled,
    "delivery.retried": _failed,
    "delivery.parked": _failed,
    "run.started": _started,
    "document.offered": lambda data: str(data["name"]),
    "document.opened": lambda data: f"{data['name']}, note {_short(data['document'])}",
    "part.offered": lambda data: f"{data['label']}, note {_short(data['note'])}",
    "part.mapped": _mapped,
    "stream.closed": _closed,
    "group.formed": lambda data: f"group {data['group']} of {data['groups']}",
    "group.reduced": lambda data: f"group {data['group']}: {data['error'] or 'note ' + _short(data['result'])}",
    "run.ended": lambda data: f"{data['outcome']}, report {_short(data['report'])}",
}
"""What people are told of the data of each type; of others, all of it."""
