"""What an event recorded, read with care: anybody who can reach the log can write into it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Literal, cast

from roost.streams import Event

MAX_DIGITS = 60
EXACT = Context(prec=2 * MAX_DIGITS)
"""Sums of money in it do not depend on their order."""

Data = dict[str, Any]
How = Literal["found", "joined"]


class OddData(ValueError):
    """An event's data is not what its type says. Such events are counted, and otherwise left out."""


def data_of(event: Event) -> Data:
    """An event's data as a mapping. Raises OddData."""
    try:
        data = event.data
    except ValueError as error:
        raise OddData(f"{event.type} {event.id}: the data is not JSON") from error
    if not isinstance(data, dict):
        raise OddData(f"{event.type} {event.id}: the data is not an object")
    return cast("Data", data)


def text_of(data: Data, name: str) -> str:
    """A text that must be there. Raises OddData."""
    value = data.get(name)
    if not isinstance(value, str):
        raise OddData(f"{name} is no text")
    return value


def texts_of(data: Data, name: str) -> tuple[str, ...]:
    """A list of texts; empty when it is not there. Raises OddData."""
    value: object = data.get(name)
    if value is None and name not in data:
        return ()
    listed = cast("list[object]", value) if isinstance(value, list) else [None]
    if not all(isinstance(each, str) for each in listed):
        raise OddData(f"{name} is no list of texts")
    return tuple(cast("list[str]", listed))


def optional_text(data: Data, name: str) -> str | None:
    """A text, or None when it is null or not there. Raises OddData."""
    return None if data.get(name) is None else text_of(data, name)


def count_of(data: Data, name: str, default: int | None = None) -> int:
    """A whole number from 0 up; without a default it must be there. Raises OddData."""
    value = data.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise OddData(f"{name} is no whole number from 0 up")
    return value


def how_of(data: Data) -> How:
    """How work was reused. Raises OddData."""
    match data.get("how"):
        case "found":
            return "found"
        case "joined":
            return "joined"
        case _:
            raise OddData("how is neither found nor joined")


@dataclass(frozen=True, slots=True)
class RecordedWork:
    """The work behind a note: of `work.computed`, and of `work.reused` as what was spared.

    `cost_usd` is None when it is not known. Time is in whole microseconds, so that sums do not depend on their order.
    """

    kind: str
    micros: int = 0
    model: str | None = None
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    tokens_estimated: bool = False
    cost_usd: Decimal | None = None
    cost_cached_usd: Decimal | None = None
    """What the same call would have cost had its provider found all of its input in the provider's own cache."""

    @classmethod
    def from_data(cls, data: Data) -> RecordedWork:
        """Read it from the data of `work.computed`, or from `work` in that of `work.reused`. Raises OddData."""
        seconds = data.get("seconds", 0)
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < 1e12:
            raise OddData("seconds is no number from 0 up")
        kind, micros = text_of(data, "kind"), round(seconds * 1_000_000)
        if data.get("model") is None:
            return cls(kind, micros)
        return cls(
            kind=kind,
            micros=micros,
            model=text_of(data, "model"),
            calls=count_of(data, "calls"),
            input_tokens=count_of(data, "input_tokens"),
            output_tokens=count_of(data, "output_tokens"),
            cached_tokens=count_of(data, "cached_tokens", 0),
            tokens_estimated=data.get("tokens_estimated") is True,
            cost_usd=_money(data, "cost_usd"),
            cost_cached_usd=_money(data, "cost_cached_usd"),
        )


def spared_work(data: Data) -> RecordedWork | None:
    """What a reuse has spared, from the data of `work.reused`; None when nobody had done any work. Raises OddData."""
    recorded: object = data.get("work")
    if recorded is None:
        return None
    if not isinstance(recorded, dict):
        raise OddData("work is no object")
    return RecordedWork.from_data(cast("Data", recorded))


def _money(data: Data, name: str) -> Decimal | None:
    value: object = data.get(name)
    if value is None:
        return None
    try:
        money = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        money = Decimal("NaN")
    exponent = money.as_tuple().exponent
    # Without bounds, eight characters such as 1e999999 would become a million digits.
    if not money.is_finite() or money < 0 or money >= 10**12 or not isinstance(exponent, int) or exponent < -MAX_DIGITS:
        raise OddData(f"{name} is no decimal text from 0 up")
    return money
