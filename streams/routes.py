"""Which inboxes take which events, as a process has last seen it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from .errors import SettingsError

INBOX = re.compile(r"[^\s,\x00-\x1f]{1,128}")
"""Routes are names joined by commas."""


HELD = b"held:"
"""How the generation of a shard that is held begins."""
WhenFull = Literal["wait", "refuse"]
"""What becomes of an append from outside to an inbox that holds its limit."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an inbox takes: events of these types, of one run or of all; up to a limit, or any number (None)."""

    inbox: str
    types: tuple[str, ...]
    run: str | None = None
    limit: int | None = None
    when_full: WhenFull = "wait"

    def to_json(self) -> bytes:
        """Raises SettingsError if the inbox or a type has a name that cannot be one."""
        if not INBOX.fullmatch(self.inbox):
            raise SettingsError(
                f"{self.inbox!r} cannot name an inbox: use up to 128 characters, no comma and no space among them"
            )
        if not self.types or not all(self.types):
            raise SettingsError(f"inbox {self.inbox} must name the event types that it takes")
        spec: dict[str, Any] = {"types": sorted(set(self.types)), "run": self.run}
        if self.limit is not None:
            spec |= {"limit": self.limit, "when_full": self.when_full}
        return orjson.dumps(spec)

    @property
    def bound(self) -> str:
        """Limit and policy as the scripts take them; '' without a limit."""
        return "" if self.limit is None else f"{self.limit} {self.when_full}"

    @classmethod
    def from_json(cls, inbox: str, text: bytes) -> Subscription:
        spec = orjson.loads(text)
        return cls(inbox, tuple(spec["types"]), spec["run"], spec.get("limit"), spec.get("when_full", "wait"))


@dataclass(slots=True)
class Routes:
    """The subscriptions of a shard at a generation."""

    generation: bytes = b""
    by_type: dict[str, list[tuple[str, str | None]]] = field(default_factory=dict[str, list[tuple[str, "str | None"]]])

    @property
    def are_held(self) -> bool:
        """Whether a rebuild holds the shard: nothing is appended until that ends."""
        return self.generation.startswith(HELD)

    @classmethod
    def of(cls, generation: bytes, subscriptions: Sequence[Subscription]) -> Routes:
        routes = cls(generation)
        for subscription in subscriptions:
            for kind in subscription.types:
                routes.by_type.setdefault(kind, []).append((subscription.inbox, subscription.run))
        return routes

    @classmethod
    def from_hash(cls, generation: bytes, stored: Mapping[bytes, bytes]) -> Routes:
        return cls.of(generation, [Subscription.from_json(inbox.decode(), text) for inbox, text in stored.items()])

    def to(self, kind: str, run: str | None) -> str:
        """The inboxes for an event of that type and run, joined by commas, as the scripts take them."""
        found = self.by_type.get(kind)
        if not found:
            return ""
        return ",".join([inbox for inbox, only in found if only is None or only == run])
