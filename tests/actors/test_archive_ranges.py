"""Any part of a log is the same before and after its events have left, whatever they hold and whenever they leave."""

from __future__ import annotations

import json
import random
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
from hypothesis import given, settings
from hypothesis import strategies as some

from roost.actors import Flock
from roost.projections.retention import archive
from roost.streams import Event, Position
from roost.streams.archive.line import entry_of, line_of
from roost.streams.archive.store import Store
from roost.streams.event import pairs
from roost.streams.every_shard import find_shards
from roost.streams.merging import MergedLog

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def spelled(value: Any, rng: random.Random) -> bytes:
    """JSON as some program writes it."""
    spaces = rng.choice([(",", ":"), (", ", ": ")])
    return json.dumps(value, ensure_ascii=rng.random() < 0.5, separators=spaces).encode(errors="surrogatepass")


META = some.fixed_dictionaries(
    {},
    optional={
        "id": JSON, "time": JSON, "schema": JSON, "actor": JSON, "run": JSON, "cause": some.text(), "more": JSON,
    },
)  # fmt: skip
FIELDS = some.fixed_dictionaries(
    {
        b"type": some.binary(max_size=9) | some.just(b"page.seen"),
        b"subject": some.binary(max_size=9) | some.just(b"page/1"),
        b"ver": some.binary(max_size=5) | some.integers().map(lambda number: b"%d" % number),
        b"meta": some.binary(max_size=9) | some.builds(spelled, META, some.randoms(use_true_random=False)),
        b"data": some.binary(max_size=9) | some.builds(spelled, JSON, some.randoms(use_true_random=False)),
    },
    optional={b"prev": some.binary(max_size=9) | some.just(b"5-1"), b"other": some.binary(max_size=9)},
)
STRANGE = some.dictionaries(some.binary(max_size=5), some.binary(max_size=9), min_size=1, max_size=4)


@given(FIELDS | STRANGE)
@settings(max_examples=150, deadline=timedelta(seconds=5))
def test_whatever_an_entry_holds_it_comes_back_byte_for_byte(fields: dict[bytes, bytes]) -> None:
    line = line_of((b"1700000000000-3", fields))
    assert b"\n" not in line
    assert b"\r" not in line
    assert orjson.loads(line)["position"] == "1700000000000-3"
    name, again = entry_of(line)
    assert name == b"1700000000000-3"
    assert list(again.items()) == list(fields.items())


async def test_ranges_are_the_same_while_what_they_read_leaves(flock: Flock, tmp_path: Path) -> None:
    rng = random.Random(11)
    store = Store(str(tmp_path))
    events = [Event(type="page.seen", subject=f"page/{number % 3}", body=b"[%d]" % number) for number in range(200)]
    for first in range(0, 200, 25):
        await flock.append(*events[first : first + 25])
        odd = {b"ver": b"x", b"\xff": rng.randbytes(5)}
        await flock.shard.command("XADD", flock.shard.keys.log, "*", *[part for pair in odd.items() for part in pair])
    every = [(entry, pairs(fields)) async for page in flock.log.pages() for entry, fields in page]
    places = [Position.parse(entry.decode()) for entry, _ in every]
    left = 0
    with patch("roost.streams.log.PAGE", 5), patch("roost.streams.archive.archivist.MAX_EVENTS", 30):
        for _ in range(80):
            first = rng.randrange(max(-1, left - 12), min(len(every), left + 8))
            last = rng.randrange(first, len(every)) if rng.random() < 0.3 else min(first + 25, len(every) - 1)
            limit = rng.choice([None, 1, 4, 5, 6, 13])
            got: list[tuple[bytes, dict[bytes, bytes]]] = []
            after, until = (None if first < 0 else places[first]), (places[last] if last >= 0 else None)
            async with aclosing(flock.log.pages(after, until=until, limit=limit)) as pages:
                async for page in pages:
                    got += [(entry, pairs(fields)) for entry, fields in page]
                    if rng.random() < 0.2 and left < len(every) - 1:
                        ahead = first + len(got) + rng.choice([0, 0, 1, 3])  # what is read right now, or what is next
                        left = min(max(left, ahead), len(every) - 1)
                        await archive(flock.shard, store, places[left])
            wanted = every[first + 1 : last + 1 if last >= 0 else None]
            assert got == (wanted if limit is None else wanted[:limit])
    assert left > 20
    assert [event.body for event in await flock.log.subject("page/1")] == [each.body for each in events[1::3]]


async def test_several_shards_are_read_as_one_log_from_their_archives(
    flock_name: str, server_url: str, tmp_path: Path
) -> None:
    async with Flock.open(flock_name, server_url, shards=2) as flock:
        for number in range(60):
            await flock.append(Event(type="page.seen", subject=f"page/{number % 9}"))
        shards = await find_shards(flock.shard.client, flock_name, patience=timedelta(seconds=5))
        log = MergedLog(shards)
        before = [event async for event in log.read()]
        place = before[40].position
        assert place is not None
        for shard in shards:
            await archive(shard, Store(str(tmp_path)), Position(shard.number, place.ms, 0))
        assert 0 < await log.length() < 60
        assert [event async for event in log.read()] == before
        assert [event async for event in log.read(place)][-19:] == before[41:]  # those of its millisecond come again
        assert await log.recent(60) == before
        assert await log.at(place) == before[40]
        for subject in ("page/1", "page/2", "page/3"):
            assert await log.subject(subject) == [event for event in before if event.subject == subject]
