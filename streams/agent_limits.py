"""Limits of agents: what one may keep in the memory, and ask of models, or each that has no limits of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, Self

import orjson
import structlog

from .errors import SettingsError
from .event import new_id
from .matching import Wanted, matching
from .notes import Reader
from .permits import AGENT, MINUTE, ModelLimits
from .routes import Routes
from .shard import Shard

log = structlog.get_logger(__name__)

EACH = "*"
"""Stands for every agent that has no limits of its own."""
MOST = 2**53
"""Servers count exactly up to there."""
MAX_NAME = 128


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """What an agent may do, in all processes together; None is any number. `notes` and `bytes` are those of its notes
    that live; the others are of its calls of models, whichever these are, at once and in a minute. `window` is what
    counts as a minute."""

    notes: int | None = None
    bytes: int | None = None
    concurrent: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    window: timedelta = MINUTE

    def __post_init__(self) -> None:
        for name in ("notes", "bytes", "concurrent", "requests_per_minute", "tokens_per_minute"):
            value: object = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value <= MOST):
                raise SettingsError(f"an agent's limit {name} is a whole number from 1 to 2^53, or None: not {value!r}")
        if not self.limits_calls and self.notes is None and self.bytes is None:
            raise SettingsError("limits of an agent that limit nothing: say what it may do, or take its limits away")

    @property
    def calls(self) -> ModelLimits:
        """What it may ask of models."""
        return ModelLimits(self.concurrent, self.requests_per_minute, self.tokens_per_minute, self.window)

    @property
    def limits_calls(self) -> bool:
        """Whether its calls need permits."""
        return self.calls != ModelLimits(window=self.window)

    def to_text(self) -> str:
        """As the scripts take it."""
        return f"{self.calls.to_text()} {self.share(1, 0)}"

    def share(self, shards: int, number: int) -> str:
        """How much of its notes and bytes one of so many shards may have, as the scripts take it."""

        def part(whole: int | None) -> str:
            return "-" if whole is None else str(whole // shards + (number < whole % shards))

        return f"{part(self.notes)} {part(self.bytes)}"

    def to_data(self) -> dict[str, int]:
        """What is limited, for JSON."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "window"}
        told = {name: value for name, value in given.items() if value is not None}
        return told if self.window == MINUTE else told | {"window_ms": round(self.window.total_seconds() * 1000)}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Raises SettingsError for what is none."""
        known: dict[str, Any] = {name: data[name] for name in (field.name for field in fields(cls)) if name in data}
        if "window_ms" in data:
            known["window"] = timedelta(milliseconds=data["window_ms"])
        return cls(**known)

    @classmethod
    def from_text(cls, text: str) -> Self:
        calls, words = ModelLimits.from_text(text), text.split()[4:6]
        notes, most_bytes = (None if word == "-" else int(word) for word in words)
        return cls(
            notes, most_bytes, calls.concurrent, calls.requests_per_minute, calls.tokens_per_minute, calls.window
        )  # fmt: skip


def limits_of_agents(shard: Shard) -> dict[str, AgentLimits]:
    """The agents that have limits, as this process has last seen it in the flock's first shard."""
    found = {name[1:]: text for name, text in shard.limits.items() if name.startswith(AGENT)}
    return {agent: AgentLimits.from_text(text) for agent, text in found.items()}


async def limit_agent(
    shards: Sequence[Shard], agent: str, limits: AgentLimits | None, reader: Reader, *, silently: bool = False
) -> None:
    """Set what an agent may do in the whole flock, whose shards these are, or take its limits away; with an event of
    it, unless that is there already (`silently`). What it has by now is counted when this returns.

    Whoever is cut off in between leaves some of the shards as they were: the same once more ends it. Raises
    SettingsError.
    """
    check_agent(agent)
    data = orjson.dumps({"agent": agent, "limits": None if limits is None else limits.to_data()})
    meta = reader.event("agent.limited", "").meta()
    text, name = "" if limits is None else limits.to_text(), new_id()
    for shard in shards:
        share = "" if limits is None else f"{limits.share(len(shards), shard.number)} {name}"
        home = int(shard.number == 0)

        def make(routes: Routes, share: str = share, home: int = home) -> tuple[Any, ...]:
            told = int(not silently)
            return agent, share, home, text, meta, data, routes.to("agent.limited", reader.run), told

        await shard.run_routed("limit_agent", make)
        if home:
            await shard.open()
    for shard in shards:
        await count_notes(shard)


async def restore_limits(shards: Sequence[Shard], reader: Reader) -> None:
    """Set the limits of which the log of a flock tells that was put together again: they are no part of its log."""
    last: dict[str, AgentLimits | None] = {}
    cursor, more = "0-0", True
    while more:
        page = await matching(shards[0], Wanted(types=("agent.limited",)), cursor)
        for event in page.events:
            try:
                told = event.data["limits"]
                agent = check_agent(event.data["agent"])
                last[agent] = None if told is None else AgentLimits.from_data(told)
            except (ValueError, KeyError, TypeError, AttributeError, SettingsError):
                log.warning("an event of limits that cannot be read is passed over", position=str(event.position))
        cursor, more = page.last or cursor, page.more
    for agent, limits in last.items():
        if limits is not None:
            await limit_agent(shards, agent, limits, reader, silently=True)


def check_agent(agent: str) -> str:
    """An agent's name as it may be limited, or `*`. Raises SettingsError."""
    if not 0 < len(agent.encode()) <= MAX_NAME or re.search(r"[\x00-\x1f\x7f]", agent):
        raise SettingsError(
            f"{agent!r} names no agent: give 1 to {MAX_NAME} bytes without control characters, or {EACH} for each that "
            "has no limits of its own"
        )
    return agent


async def count_notes(shard: Shard) -> None:
    """Count those notes of limited agents that were there before their limits were."""
    cursor = b""
    while cursor := await shard.run("count_notes", cursor):
        continue


@dataclass(frozen=True, slots=True)
class Held:
    """What an agent has that lives."""

    notes: int = 0
    bytes: int = 0

    def __add__(self, other: Held) -> Held:
        return Held(self.notes + other.notes, self.bytes + other.bytes)


async def read_held(shards: Sequence[Shard]) -> tuple[dict[str, Held], bool]:
    """What each agent has, where agents' notes are counted, and whether all of them are by now."""
    held: dict[str, Held] = {}
    whole = True
    for shard in shards:
        stored: dict[bytes, bytes] = await shard.command("HGETALL", shard.keys.key("counted"))
        whole = whole and b" counting" not in stored
        for field, value in stored.items():
            kind, _, name = field.partition(b" ")
            if kind in (b"notes", b"bytes"):
                agent = name.decode(errors="replace")
                held[agent] = held.get(agent, Held()) + Held(**{kind.decode(): int(value)})
    return held, whole
