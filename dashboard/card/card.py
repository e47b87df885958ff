"""The card itself: what it is given, and what it tells when somebody acts on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from roost.dashboard.mounting import mount_asking
from roost.streams.printable import printable

Act = Literal["back", "more", "save", "filter", "run"]
ACTS: tuple[Act, ...] = ("back", "more", "save", "filter", "run")
MAX_VALUE = 1_024

_ask = mount_asking("roost.card", __file__, "card", ("acted",))


@dataclass(frozen=True, slots=True)
class Part:
    """A word of a fact; with `act`, something that can be opened. `name` and `value` are what it tells then. `url` is
    an address of our own making."""

    text: str
    act: Act | None = None
    name: str = ""
    value: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """`parts` stand beside each other."""

    name: str
    parts: tuple[Part, ...]


def show_card(
    key: str, *, note: str, title: str, fate: str, facts: Sequence[Fact], content: str | None, said: str, more: str,
    can_save: bool, saved: dict[str, str] | None,
) -> tuple[Act, str, str] | None:  # fmt: skip
    """Shows a note. All texts are shown as texts; what could deceive their reader as visible escapes.

    `content` is None where there is none to show, `said` tells why, or how much it is; `more` is on the button that
    shows more, or empty. `saved` is a file that is handed over: its name and its bytes in base64. What somebody did.
    """
    data = {
        "note": note,
        "title": printable(title),
        "fate": fate,
        "facts": [{"name": fact.name, "parts": [_part(part) for part in fact.parts]} for fact in facts],
        "content": None if content is None else printable(content),
        "said": printable(said),
        "more": more,
        "canSave": can_save,
        "saved": saved,
    }
    return _act(_ask(key, data)["acted"])


def _part(part: Part) -> dict[str, Any]:
    told = {"text": printable(part.text), "url": part.url}
    return told | ({} if part.act is None else {"act": part.act, "name": part.name, "value": part.value})


def _act(told: object) -> tuple[Act, str, str] | None:
    """It comes from a browser: what makes no sense is nothing."""
    if not isinstance(told, dict):
        return None
    said = cast("dict[str, object]", told)
    acts: dict[str, Act] = {each: each for each in ACTS}
    act = acts.get(f"{said.get('act')}")
    name, value = said.get("name", ""), said.get("value", "")
    if act is None or not isinstance(name, str) or not isinstance(value, str) or len(value) > MAX_VALUE:
        return None
    return act, name, value
