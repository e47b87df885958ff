"""The difference of two runs on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from roost.streams.amounts import SHORT_ID, abridge, shorten_ids, show_moment, show_seconds, show_size
from roost.streams.printable import printable

from ..json_lines import dump_safely
from ..report.all_facts import STATUS
from ..report.card import show_sheets
from ..report.facts import Document
from ..report.pair_facts import sheets_of
from ..report.wording import NO_VALUE, plural
from ..terminal import foreign, is_plain, show, table, width
from .words import Piece, compare_texts

if TYPE_CHECKING:
    from rich.text import Text

FIGURES = {
    "wall_s", "computing_s", "calls", "tokens", "cost_usd", "saved_calls", "saved_tokens", "saved_cost_usd",
    "computed", "found", "joined", "deliveries", "retries", "parked",
}  # fmt: skip
"""The others are in --json, and in `roost report RUN RUN`."""
WIDEST = 180
"""Columns that two texts side by side take at most: longer lines are hard to follow."""
FORK = frozenset({"fork", "origin", "at"})
"""What is said of every fork; the rest is what was changed."""
SAID = 300
"""Characters of an answer that is the same in both."""
LISTED = 20
"""Notes of a kind that are named."""


def show_difference(document: Document) -> None:
    """How the runs were set up, what they took, what they answered, and which notes differ."""
    ids = names_of(document)
    show(foreign(f"Runs {ids[0]} and {ids[1]}", "bold", wrap=True), *_about(document, ids))
    _show_settings(document["settings"], ids)
    show("")
    show_sheets(sheets_of(document["compared"], ids, FIGURES))
    _show_answers(document["answers"], ids)
    _show_notes(document["notes"], ids)


def names_of(document: Document) -> list[str]:
    """What the runs are called here: by the first digits of their IDs, with the flock where that is another."""
    sides = [document["first"], document["second"]]
    is_one = sides[0]["flock"] == sides[1]["flock"]
    return [each["run"][:SHORT_ID] if is_one else f"{each['flock']}/{each['run'][:SHORT_ID]}" for each in sides]


def _about(document: Document, ids: list[str]) -> list[Any]:
    lines: list[Any] = []
    for name, side in zip(ids, (document["first"], document["second"]), strict=True):
        told = f"{name}: {show_moment(side['began_ms'])}, {show_seconds(side['elapsed_s'])}, {STATUS[side['status']]}"
        lines.append(foreign(f"{told}, {plural(side['events'], 'event')}", "dim", wrap=True))
    if document["first"] == document["second"]:
        lines.append(foreign("This is one and the same run.", wrap=True))
    origin = document["origin"]
    if origin is not None:
        fork, other = ids if origin["fork"] == "first" else reversed(ids)
        changes = [f"{name}: {_value(value)}" for name, value in origin.items() if name not in FORK and value]
        changed = f"; {'; '.join(changes)}" if changes else ""
        lines.append(foreign(f"{fork} is a fork of {other}, from {origin.get('at')} on{changed}", wrap=True))
    return lines


def _show_settings(settings: Sequence[dict[str, Any]], ids: list[str]) -> None:
    if not settings:
        show("", foreign("Set up in the same way, with the same code.", wrap=True))
        return
    rows = table("Set up", *_columns(ids))
    for each in settings:
        cells = [each["name"].replace("_", " "), *[_value(each[side]) for side in ("first", "second")]]
        rows.add_row(*[foreign(cell, wrap=True) for cell in cells])
    show("", rows)


def _columns(ids: list[str]) -> list[str]:
    return ids if ids[0] != ids[1] else ["first", "second"]


def _value(value: Any) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or NO_VALUE  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, dict) and {"note", "instead"} <= value.keys():
        edited = cast("dict[str, Any]", value)
        return shorten_ids(f"{edited['note']} to {edited['instead']}")
    return shorten_ids(value if isinstance(value, str) else dump_safely(value))


def _show_answers(answers: Sequence[dict[str, Any]], ids: list[str]) -> None:
    if not answers:
        show("", foreign("Neither run has answers.", "dim", wrap=True))
        return
    same = sum(each["same"] for each in answers)
    show("", foreign(f"Answers: {same:,} of {len(answers):,} the same", "bold", wrap=True))
    for each in answers:
        show("", foreign(each["question"], "bold", wrap=True))
        if each["same"]:
            said = abridge(" ".join(each["first"]["answer"].split()), SAID)
            show(foreign("the same in both:", "dim"), foreign(said, wrap=True))
        else:
            show(_side_by_side(each, ids))


def _side_by_side(row: dict[str, Any], ids: list[str]) -> Any:
    from rich.table import Table

    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True,
                 width=min(width(), WIDEST))  # fmt: skip
    for name in _columns(ids):
        made.add_column(foreign(name, "dim"), ratio=1, overflow="fold")
    texts = [row[side]["answer"] for side in ("first", "second")]
    if None in texts:
        made.add_row(*[_alone(row[side]) for side in ("first", "second")])
    else:
        left, right = compare_texts(*texts)
        made.add_row(_marked(left, "[-", "-]", "bold red"), _marked(right, "{+", "+}", "bold green"))
    return made


def _alone(side: dict[str, Any]) -> Text:
    if side["answer"] is None:
        return foreign(f"no answer: {side['error']}", "yellow", wrap=True)
    return _marked([Piece(side["answer"], False)], "", "", "")


def _marked(pieces: Sequence[Piece], opening: str, closing: str, style: str) -> Text:
    """A text with what the other lacks in colour; where there are no colours, between brackets."""
    from rich.text import Text

    plain, text = is_plain(), Text(overflow="fold")
    for piece in pieces:
        said = printable(piece.text).replace("\t", " ")
        core = said.strip()
        if not piece.is_alone or not core:
            text.append(said)
            continue
        before, _, after = said.partition(core)
        text.append(before)
        text.append(f"{opening}{core}{closing}" if plain else core, "" if plain else style)
        text.append(after)
    return text


def _show_notes(notes: dict[str, Any], ids: list[str]) -> None:
    different, first, second = notes["different"], notes["only_first"], notes["only_second"]
    names = _columns(ids)
    counts = [f"{notes['equal']:,} the same", f"{len(different):,} different"]
    counts += [f"{len(alone):,} only in {name}" for alone, name in zip((first, second), names, strict=True)]
    show("", foreign(f"Notes: {', '.join(counts)}", "bold", wrap=True))
    rows = table("About", "By", *names)
    for each in different[:LISTED]:
        rows.add_row(*_cells(each["about"], each["first"], each["first"], each["second"]))
    for side, alone in enumerate((first, second)):
        for each in alone[:LISTED]:
            rows.add_row(*_cells(each["about"], each, *((each, None) if side == 0 else (None, each))))
    if rows.row_count:
        show("", rows)
    more = sum(max(0, len(alone) - LISTED) for alone in (different, first, second))
    if more:
        show(foreign(f"and {more:,} more: --json has all of them, `roost note ID` shows one", "dim", wrap=True))


def _cells(about: str, by: dict[str, Any], *notes: dict[str, Any] | None) -> list[Text]:
    return [foreign(about), foreign(by["author"] or NO_VALUE), *[_note(note) for note in notes]]


def _note(note: dict[str, Any] | None) -> Text:
    if note is None:
        return foreign(NO_VALUE)
    size = "" if note["size"] is None else f" ({show_size(note['size'])})"
    return foreign(f"{note['note'][:SHORT_ID]}{size}")
