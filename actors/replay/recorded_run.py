"""A recorded run: what the log tells of it, wherever that is kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from roost.streams import Event
from roost.streams.encryption.keyholder import Keyholder


class RecordedRun(Protocol):
    """The events of one run, and what its deliveries need from before it."""

    @property
    def run(self) -> str:
        """Its ID."""
        ...

    @property
    def flock(self) -> str:
        """The name of the flock in which it was made."""
        ...

    def events(self) -> AsyncGenerator[Event]:
        """Its events, in the log's order, with their positions and versions."""
        ...

    def before(self) -> AsyncGenerator[Event]:
        """What is not the run's, and its deliveries depend on, in the log's order: `note.written` and `work.computed`
        of notes that it read or reused and that others have written; of the keys of keyed actors that it has touched
        (subjects `actor/<name>/<key>`), the events of others."""
        ...

    def forgotten(self) -> AsyncGenerator[Event]:
        """`note.forgotten` that are not the run's, in the log's order: of its notes, and perhaps of others'."""
        ...

    async def content(self, digest: str) -> bytes | None:
        """Content by its digest, as it is stored; None when it was forgotten."""
        ...

    @property
    def keyholder(self) -> Keyholder:
        """With what its sealed contents are opened."""
        ...
