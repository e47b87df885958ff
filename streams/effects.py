"""Outside effects in the log: what is known of one, and how a person settles one whose outcome nobody knows.

An effect is the subject `effect/<key>`. `effect.intended` is written before it is carried out, by whoever has its
claim; `effect.done`, `effect.undone` or `effect.failed` after it. An intent without an outcome whose claim has ended,
and a failure, are unknown: it is never carried out again until `effect.settled` says how it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from .answer import Conflicted, Written
from .errors import Conflict, EffectBusy, LimitExceeded, RoostError, SettingsError
from .event import Event
from .log import Log
from .shard import Shard
from .unit import Unit
from .writer import Writer

MAX_KEY_BYTES = 512
MAX_RESULT_BYTES = 64 * 1024

State = Literal["free", "intended", "failed", "lost", "done"]
"""`free`: never tried, or it has not happened. `lost`: it has happened, and its result could not be kept."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the log knows of an effect, as of a version of its subject; `last` is its last event."""

    state: State
    version: int = 0
    last: Event | None = None

    @property
    def result(self) -> bytes:
        """What the effect answered, as JSON."""
        return orjson.dumps(self.told("result"))

    def told(self, name: str) -> Any:
        """What the last event says under that name."""
        return None if self.last is None else self.last.data.get(name)


def subject_of_effect(key: str) -> str:
    """Raises LimitExceeded for a key that is empty or over 512 bytes."""
    if not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        raise LimitExceeded(f"the key of an effect has 1 to {MAX_KEY_BYTES} bytes, this one {len(key.encode())}")
    return f"effect/{key}"


def claim_of_effect(key: str) -> str:
    """The name of the claim that whoever carries it out holds. No note has such a key."""
    return f" effect {key}"


async def standing_of(shard: Shard, key: str) -> Standing:
    """What is known of an effect now."""
    found = await Log(shard).subject(subject_of_effect(key), limit=1)
    return _judge(found[0]) if found else Standing("free")


def _judge(last: Event) -> Standing:
    version = last.version or 0
    match last.type:
        case "effect.intended":
            return Standing("intended", version, last)
        case "effect.undone":
            return Standing("free", version, last)
        case "effect.done":
            return Standing("lost" if "lost" in last.data else "done", version, last)
        case "effect.settled":
            return Standing("done" if last.data["done"] else "free", version, last)
        case _:
            return Standing("failed", version, last)


async def is_held(shard: Shard, key: str) -> bool:
    """Whether somebody who lives is carrying it out."""
    return bool(await shard.command("EXISTS", shard.keys.key("claim", claim_of_effect(key))))


async def settle_effect(
    shard: Shard, key: str, *, done: bool, result: Any = None, by: str = "", agent: str | None = None
) -> Event:
    """Say how an effect was whose outcome is unknown; the event `effect.settled` that tells it.

    `done`: it has happened, and whoever asks for it gets `result` (what JSON holds, up to 64 KiB). Otherwise it has
    not, and is carried out by the next who asks, such as the delivery that was parked for it, when that is retried.
    `by` is the person's name, `agent` the program's.

    Raises SettingsError when there is nothing to settle, EffectBusy while it is being carried out, LimitExceeded,
    Conflict when somebody else has settled it meanwhile, and what the server says.
    """
    standing = await standing_of(shard, key)
    if standing.last is None or standing.state not in ("intended", "failed", "lost"):
        how = "has happened" if standing.state == "done" else "has not happened, so that whoever asks carries it out"
        raise SettingsError(f"there is nothing to settle: the effect {key!r} {how}")
    if standing.state == "intended" and await is_held(shard, key):
        raise EffectBusy(key)
    last = standing.last
    body = orjson.dumps({"key": key, "done": done, "result": result if done else None, "by": by})
    if len(body) > MAX_RESULT_BYTES:
        raise LimitExceeded(f"the result of an effect has up to {MAX_RESULT_BYTES:,} bytes as JSON, this {len(body):,}")
    settled = Event(
        type="effect.settled", subject=subject_of_effect(key), body=body, actor=agent, run=last.run, cause=last.id
    )
    writer = Writer(shard)
    try:
        answer = await writer.write(Unit().past().expect(settled.subject, standing.version).event(settled))
    finally:
        await writer.close()
    match answer:
        case Written():
            return settled
        case Conflicted(current, position):
            raise Conflict(settled.subject, current=current, expected=standing.version, position=position)
        case _:
            raise RoostError(f"settling was answered with {answer}")
