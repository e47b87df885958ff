"""What is asked for in the page's address: which notes, in which order, which part of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import streamlit as st

from roost.dashboard.annals.note_listing import Fated, Sort, Wanted

MAX_TEXT = 200
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
SPANS = {"5min": 5 * MINUTE_MS, "1h": HOUR_MS, "1d": DAY_MS, "7d": 7 * DAY_MS}
CHOICES: dict[str, list[tuple[str, str]]] = {
    "within": [
        ("", "at any time"), ("5min", "in 5 minutes"), ("1h", "in the last hour"), ("1d", "in the last day"),
        ("7d", "in the last week"),
    ],
    "expiring": [
        ("", "whenever"), ("5min", "in 5 minutes"), ("1h", "in an hour"), ("1d", "in a day"), ("7d", "in a week"),
    ],
    "fate": [("", "live ones"), ("gone", "gone ones"), ("all", "all")],
    "sort": [("", "newest first"), ("reused", "most reused first"), ("expiring", "expiring first")],
}  # fmt: skip
TEXTS = ("words", "agent", "run", "tag")
NAMES = (*TEXTS, *CHOICES, "part", "inside", "note")
"""What this page's address holds, beside the moment of travel."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`values` are those of the address by their names, empty where nothing is said. `part` counts from 1; `inside`:
    words are looked for in contents, too."""

    values: Mapping[str, str]
    part: int
    inside: bool

    @property
    def wanted(self) -> Wanted:
        values = self.values
        fates: dict[str, Fated] = {"gone": "gone", "all": "all"}
        return Wanted(
            words=values["words"],
            agent=values["agent"] or None,
            run=values["run"] or None,
            tag=values["tag"] or None,
            within_ms=SPANS.get(values["within"]),
            expiring_ms=SPANS.get(values["expiring"]),
            fate=fates.get(values["fate"], "kept"),
        )

    @property
    def sort(self) -> Sort:
        sorts: dict[str, Sort] = {"reused": "reused", "expiring": "expiring"}
        return sorts.get(self.values["sort"], "newest")


def asked_of(told: Mapping[str, object]) -> Asked:
    """From an address, or from a browser: what makes no sense is nothing."""
    values = {name: _text(told.get(name)) for name in TEXTS}
    for name, choices in CHOICES.items():
        value = _text(told.get(name))
        values[name] = value if value in dict(choices) else ""
    part = _text(told.get("part"))
    number = int(part) if part.isascii() and part.isdigit() and len(part) < 7 else 1
    return Asked(values, max(1, number), _text(told.get("inside")) == "1" and bool(values["words"]))


def asked_now() -> Asked:
    return asked_of(st.query_params.to_dict())


def address(asked: Asked) -> dict[str, str]:
    """As the address holds it: what is not said is left out."""
    told = {name: value for name, value in asked.values.items() if value}
    return told | ({"part": f"{asked.part}"} if asked.part > 1 else {}) | ({"inside": "1"} if asked.inside else {})


def lead(query: Mapping[str, str]) -> None:
    """Go on in this page, with that address."""
    write_address(query)
    st.rerun()


def write_address(query: Mapping[str, str]) -> None:
    """The moment of travel stays, all else of the address is as told."""
    kept = {name: value for name, value in st.query_params.to_dict().items() if name not in NAMES}
    st.query_params.from_dict(kept | dict(query))


def about(**values: str) -> dict[str, str]:
    """The address of the notes of which one thing is asked."""
    empty = asked_of({})
    return address(replace(empty, values={**empty.values, **{name: _text(value) for name, value in values.items()}}))


def _text(value: object) -> str:
    return value[:MAX_TEXT].strip() if isinstance(value, str) else ""
