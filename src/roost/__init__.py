"""Roost: one shared, event-sourced memory for a flock of AI agents.

    async with Flock.open("research") as flock:
        page = await flock.memory.once(fingerprint("fetch", url), lambda: download(url))

Names are loaded when first used, so that importing one room does not load the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from roost.actors import (
        Actor,
        Ask,
        Circuit,
        Computed,
        Context,
        Failure,
        Flock,
        Memory,
        Retry,
        Work,
        fingerprint,
        on,
        shared,
    )
    from roost.projections import Projection, Rows
    from roost.streams import (
        Conflict,
        ContentChanged,
        EffectUnknown,
        Event,
        InboxFull,
        ModelLimits,
        NotDone,
        Note,
        NoteNotFound,
        NotTrusted,
        Position,
        RoostError,
        event,
        upcast,
    )

__version__ = "0.1.0"

__all__ = [
    "Actor",
    "Ask",
    "Circuit",
    "Computed",
    "Conflict",
    "ContentChanged",
    "Context",
    "EffectUnknown",
    "Event",
    "Failure",
    "Flock",
    "InboxFull",
    "Memory",
    "ModelLimits",
    "NotDone",
    "NotTrusted",
    "Note",
    "NoteNotFound",
    "Position",
    "Projection",
    "Retry",
    "RoostError",
    "Rows",
    "Work",
    "event",
    "fingerprint",
    "on",
    "shared",
    "upcast",
]

_STREAMS = (
    "Conflict", "ContentChanged", "EffectUnknown", "Event", "InboxFull", "ModelLimits", "NotDone", "NotTrusted",
    "Note", "NoteNotFound", "Position", "RoostError", "event", "upcast",
)  # fmt: skip


_PROJECTIONS = ("Projection", "Rows")


def __getattr__(name: str) -> Any:
    if name in __all__:
        room = "streams" if name in _STREAMS else "projections" if name in _PROJECTIONS else "actors"
        return getattr(import_module(f"roost.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
