"""What is left after a chaos run: the log, the journals of those who appended, and how the server's keys stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson

from roost.actors import Flock
from roost.streams import Event, Inbox, InboxState
from roost.streams.event import pairs
from roost.streams.keys import KINDS
from roost.streams.scan import scan_keys

from .world import ACTORS

Fate = Literal["accepted", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A command as its producer knows it. `line` and `number` give the order in which one line of a producer sent."""

    command: str
    fate: Fate
    position: str = ""

    @property
    def line(self) -> str:
        return self.command.rpartition("-")[0]

    @property
    def number(self) -> int:
        return int(self.command.rpartition("-")[2])


@dataclass(frozen=True, slots=True)
class Consumer:
    inbox: str
    name: str
    pending: int
    idle_ms: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the checker looks at. `states` are by actor and key: version and JSON, as stored. `parked` are the IDs
    of the events in the dead-letter streams, by inbox."""

    events: list[Event]
    sent: list[Sent]
    inboxes: list[InboxState] = field(default_factory=list[InboxState])
    consumers: list[Consumer] = field(default_factory=list[Consumer])
    parked: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    states: dict[str, dict[str, tuple[int, bytes]]] = field(default_factory=dict[str, dict[str, tuple[int, bytes]]])
    strange_keys: list[str] = field(default_factory=list[str])
    """Keys of the flock of no kind that Roost has."""
    outside: list[str] = field(default_factory=list[str])
    """Keys of the effects that have happened, as often as they have."""
    timers: int = 0
    """Events that are still to be appended later."""
    claims: list[str] = field(default_factory=list[str])
    """Keys that are still claimed."""


async def gather_evidence(flock: Flock, directory: Path) -> Evidence:
    """From the server, when nothing happens any more, and from what the processes have left in their directory."""
    keys, shard = flock.shard.keys, flock.shard
    states: dict[str, dict[str, tuple[int, bytes]]] = {}
    parked: dict[str, list[str]] = {}
    inboxes: list[InboxState] = []
    consumers: list[Consumer] = []
    for actor in ACTORS:
        inbox = Inbox(shard, actor.name, "nobody")
        inboxes.append(await inbox.state())
        consumers += [Consumer(actor.name, *row) for row in await inbox.consumers()]
        dead = await shard.command("XRANGE", keys.key("dead", actor.name), "-", "+")
        parked[actor.name] = [_event_id(fields) for _, fields in dead]
        if actor.state is not None:
            stored = await shard.command("HGETALL", keys.key("state", actor.name))
            states[actor.name] = {key.decode(): _state(text) for key, text in stored.items()}
    kinds = {key: key.removeprefix(keys.prefix).partition(":")[0] for key in await _keys_of(flock)}
    return Evidence(
        events=[event async for event in flock.log.read()], sent=read_journals(directory), inboxes=inboxes,
        consumers=consumers, parked=parked, states=states,
        outside=read_outside(directory),
        timers=int(await shard.command("ZCARD", keys.key("later"))),
        strange_keys=sorted(key for key, kind in kinds.items() if kind not in KINDS),
        claims=sorted(key for key, kind in kinds.items() if kind == "claim"),
    )  # fmt: skip


async def _keys_of(flock: Flock) -> set[str]:
    found: set[str] = set()
    async for _, page in scan_keys(flock.connection.client, f"{flock.shard.keys.prefix}*"):
        found.update(key.decode() for key in page)
    return found


def _event_id(fields: list[bytes]) -> str:
    return str(orjson.loads(pairs(fields)[b"meta"])["id"])


def _state(text: bytes) -> tuple[int, bytes]:
    version, _, value = text.partition(b" ")
    return int(version), value


def write_log(events: Iterable[Event], path: Path) -> None:
    """The log as lines of JSON, to look into it."""
    with path.open("wb") as file:
        for event in events:
            told = {
                "position": str(event.position), "type": event.type, "subject": event.subject, "version": event.version,
                "id": event.id, "cause": event.cause, "actor": event.actor, "data": event.data,
            }  # fmt: skip
            file.write(orjson.dumps(told) + b"\n")


def read_outside(directory: Path) -> list[str]:
    """What effects have left there."""
    file = directory / "outside"
    return file.read_text("utf-8").splitlines() if file.exists() else []


def read_journals(directory: Path) -> list[Sent]:
    """Commands with their fates. What was sent, and whose producer was killed before it knew more, is unknown."""
    sent: dict[str, Sent] = {}
    for journal in sorted(directory.glob("*.journal")):
        for line in journal.read_bytes().splitlines():
            try:
                step = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue  # the last line of one that was killed
            fate: Fate = "unknown" if step["step"] == "sent" else step["step"]
            positions = step.get("positions") or [""] * len(step["commands"])
            for command, position in zip(step["commands"], positions, strict=True):
                sent[command] = Sent(command, fate, position)
    return list(sent.values())
