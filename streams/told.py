"""What an event tells, as one line of words."""

from __future__ import annotations

from typing import Any

import orjson

from .amounts import shorten_ids
from .event import Event

NOT_SHOWN = {"digest", "written"}
"""Names in an event's data that mean nothing to people."""


def show_data(event: Event) -> str:
    """The event's data as `name=value`, IDs shortened, without what its other columns say already."""
    data = data_or_text(event)
    if not isinstance(data, dict):
        return shorten_ids(str(data))
    said = (event.subject.partition("/")[2], event.actor, event.run)
    shown = [f"{name}={_show(value)}" for name, value in _pairs(data) if value not in said and name not in NOT_SHOWN]
    return shorten_ids("  ".join(shown))


def data_or_text(event: Event) -> Any:
    """What the event holds, or its text if that is not JSON."""
    try:
        return event.data
    except orjson.JSONDecodeError:
        return event.body.decode(errors="replace")


def _pairs(data: Any) -> list[tuple[str, Any]]:
    return list(data.items())


def _show(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
