"""Roost: one shared, event-sourced memory for a flock of AI agents.

    async with Flock.open("research") as flock:
        page = await flock.memory.once(fingerprint("fetch", url), lambda: download(url))

Names are loaded when first used, so that importing one room does not load the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roost.actors import Actor, Computed, Context, Flock, Memory, Retry, Work, fingerprint, on
    from roost.streams import Event, Note, Position, RoostError, event, upcast

__version__ = "0.1.0"

__all__ = [
    "Actor",
    "Computed",
    "Context",
    "Event",
    "Flock",
    "Memory",
    "Note",
    "Position",
    "Retry",
    "RoostError",
    "Work",
    "event",
    "fingerprint",
    "on",
    "upcast",
]

_ROOMS = {
    "roost.actors": ("Actor", "Computed", "Context", "Flock", "Memory", "Retry", "Work", "fingerprint", "on"),
    "roost.streams": ("Event", "Note", "Position", "RoostError", "event", "upcast"),
}


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(room), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
