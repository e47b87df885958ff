"""What is left after a chaos run: the log, the journals of those who appended, and how the server's keys stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, cast

import orjson

from roost.actors import Flock
from roost.actors.stored_states import StoredStates
from roost.projections.verify import verify
from roost.streams import CommandClient, Event, Inbox, InboxState, Keys, Shard
from roost.streams.event import pairs
from roost.streams.every_shard import find_shards
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
    left: list[str] = field(default_factory=list[str])
    """Keys that hold what was set aside, or tried, of deliveries that have ended."""
    consumers: list[Consumer] = field(default_factory=list[Consumer])
    parked: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    states: dict[str, dict[str, tuple[int, bytes]]] = field(default_factory=dict[str, dict[str, tuple[int, bytes]]])
    strange_keys: list[str] = field(default_factory=list[str])
    """Keys of the flock of no kind that Roost has."""
    outside: list[str] = field(default_factory=list[str])
    """Keys of the effects that have happened, as often as they have."""
    waiting: dict[str, int] = field(default_factory=dict[str, int])
    """What still waits to be appended, by key: timers and outboxes."""
    claims: list[str] = field(default_factory=list[str])
    """Keys that are still claimed."""
    findings: list[str] = field(default_factory=list[str])
    """What `roost verify` would find: where the log, or what is read, is not what it must be."""


async def gather_evidence(flock: Flock, directory: Path) -> Evidence:
    """From the server, when nothing happens any more, and from what the processes have left in their directory."""
    evidence = Evidence(
        events=[event async for event in flock.log.read()], sent=read_journals(directory),
        outside=read_outside(directory), waiting=await what_waits(flock),
    )  # fmt: skip
    for shard in shards_of(flock):
        await _look_into(shard, evidence)
    evidence.findings.extend(await _findings(flock))
    return evidence


async def _findings(flock: Flock) -> list[str]:
    shards = await find_shards(cast(CommandClient, flock.shard.client), flock.name, patience=timedelta(seconds=30))
    found = list((await verify(shards, content=True)).findings)
    for actor in (actor for actor in ACTORS if actor.state is not None):
        found += [difference async for difference in StoredStates(shards, actor()).differences()]
    return [str(finding) for finding in found]


def shards_of(flock: Flock) -> list[Shard]:
    """Each shard of a flock, to be looked at."""
    return [Shard(flock.shard.client, Keys(flock.name, number)) for number in range(flock.shards)]


async def inboxes_of(flock: Flock) -> list[InboxState]:
    """How the inboxes stand, in all shards."""
    return [await Inbox(shard, actor.name, "nobody").state() for shard in shards_of(flock) for actor in ACTORS]


async def who_has_lanes(flock: Flock) -> dict[str, list[str]]:
    """The owners of the lanes of each keyed actor, whose lease is not over; "" where there is none."""
    found: dict[str, list[str]] = {}
    now = await flock.shard.command("TIME")
    now_ms = int(now[0]) * 1000 + int(now[1]) // 1000
    for actor in (actor for actor in ACTORS if actor.is_keyed()):
        stored = await flock.shard.command("HGETALL", flock.shard.keys.key("lanes", actor.name))
        names = [b"front", *(str(lane).encode() for lane in range(actor.lanes))]
        words = [stored.get(name, b"0 0 ").decode().split(" ") for name in names]
        found[actor.name] = [owner if int(until) > now_ms else "" for _, until, owner in words]
    return found


async def what_waits(flock: Flock) -> dict[str, int]:
    """What is on its way into a log."""
    found: dict[str, int] = {}
    for shard in shards_of(flock):
        found[shard.keys.key("later")] = await shard.command("ZCARD", shard.keys.key("later"))
        for number in range(flock.shards):
            outbox = shard.keys.key("outbox", str(number))
            found[outbox] = await shard.command("XLEN", outbox)
    return {key: count for key, count in found.items() if count}


async def _look_into(shard: Shard, evidence: Evidence) -> None:
    keys = shard.keys
    found = await _keys_of(shard)
    for actor in (actor for actor in ACTORS if keys.key("inbox", actor.name) in found):
        evidence.inboxes.append(await Inbox(shard, actor.name, "nobody").state())
        for name in (actor.name, *(f"{lane}/{actor.name}" for lane in range(actor.lanes))):
            if keys.key("inbox", name) in found:
                rows = await Inbox(shard, name, "nobody").consumers()
                where = f"{name} in shard {shard.number}" if shard.number else name
                evidence.consumers.extend([Consumer(where, *row) for row in rows])
        dead = await shard.command("XRANGE", keys.key("dead", actor.name), "-", "+")
        evidence.parked.setdefault(actor.name, []).extend(_event_id(fields) for _, fields in dead)
        if actor.state is not None:
            stored = await shard.command("HGETALL", keys.key("state", actor.name))
            found_states = {key.decode(): _state(text) for key, text in stored.items()}
            evidence.states.setdefault(actor.name, {}).update(found_states)
    kinds = {key: key.removeprefix(keys.prefix).partition(":")[0] for key in found}
    evidence.strange_keys.extend(sorted(key for key, kind in kinds.items() if kind not in KINDS))
    evidence.left.extend(sorted(key for key, kind in kinds.items() if kind in ("aside", "stalled", "tries")))
    evidence.claims.extend(sorted(key for key, kind in kinds.items() if kind == "claim"))


async def _keys_of(shard: Shard) -> set[str]:
    found: set[str] = set()
    async for _, page in scan_keys(cast(CommandClient, shard.client), f"{shard.keys.prefix}*"):
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
