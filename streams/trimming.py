"""Trimming: the oldest events leave the server, when everybody has passed them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from .errors import RoostError
from .position import Position
from .shard import Shard

PAGE = 300
KAFKA = "bridge/kafka/"


class TrimRefused(RoostError):
    """Somebody has not come so far yet. `keeper` is a mark or a view, `at` where it stands."""

    def __init__(self, flock: str, keeper: str, at: Position) -> None:
        if keeper in ("archive", "state"):
            what = "the archive has" if keeper == "archive" else "the state that is stored in the archive has"
        elif keeper.startswith(KAFKA):
            prefix = keeper.removeprefix(KAFKA)
            mirror = f"roost bridge kafka --flock {flock}" + ("" if prefix == "roost" else f" --topic-prefix {prefix}")
            what = f"the mirror in Kafka, {keeper}, (`{mirror}` goes on with it, with --drop it is given up) has"
        elif "/" in keeper and not keeper.startswith("bridge"):
            what = f"projection {keeper} (follow it, or take it away by `roost views --drop {keeper}`) has"
        else:
            what = f"{keeper} has"
        super().__init__(f"nothing of flock {flock!r} is trimmed beyond {at}: {what} not come further")
        self.keeper = keeper
        self.at = at


@dataclass(slots=True)
class Trimmed:
    """How many events have left, and up to where."""

    events: int = 0
    horizon: Position | None = None


async def trim(shard: Shard, until: Position, done: Trimmed | None = None) -> Trimmed:
    """Take all events up to and with `until` out of the log, page by page. They must be in the archive, and a state as
    of `until` or later with them. What was done before an error stands in `done`.

    Raises TrimRefused while the archive, a bridge or a view has not come so far, ServerUnavailable.
    """
    done = Trimmed() if done is None else done
    while True:
        answer = await shard.run("trim", until.entry, PAGE)
        if answer[0] == b"held":
            await shard.reopen()
            continue
        if answer[0] == b"kept":
            at = Position.parse(answer[2].decode(), shard=shard.number)
            raise TrimRefused(shard.keys.flock, answer[1].decode(), at)
        done.events += int(answer[1])
        if answer[2]:
            done.horizon = Position.parse(answer[2].decode(), shard=shard.number)
        if answer[3] == b"done":
            return done
        await asyncio.sleep(0)  # others' calls come in between
