"""What sets the actors of a fork apart: keys of their own, and notes in the place of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from roost.streams import Event

from .renaming import Renaming


class Apart:
    """Held by each actor that works for a fork, and asked for each of its deliveries."""

    def __init__(self, run: str, instead: Mapping[str, str]) -> None:
        self._run = run
        self._renaming = Renaming(run, run, instead) if instead else None

    def key(self, key: str) -> str:
        """The key under which it handles what has that key: one that does not name the run would be that of others."""
        return key if self._run in key.split("/") else f"{self._run}/{key}"

    def event(self, event: Event) -> Event:
        """The event as its handler is given it: it names the notes that stand in the place of those that it names."""
        if self._renaming is None:
            return event
        body = self._renaming.body(event.body)
        return event if body is event.body else replace(event, body=body)
