"""Reading with `verified`: content, record and log must tell the same of a note."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from roost_tests.shared_server import plain_client

from roost.actors import Flock
from roost.streams import ContentChanged, Keys, Note


@pytest.fixture
async def plain(server_url: str, flock_name: str) -> Any:
    client = plain_client(server_url, flock_name)
    yield client
    await client.aclose()


async def forge_content(plain: Any, flock: Flock, note: Note) -> None:
    await plain.set(flock.shard.keys.key("blob", note.record.digest), b"forged")


async def forge_all_but_the_log(plain: Any, flock: Flock, note: Note) -> None:
    """Content, digest and record fit each other: only the log knows better."""
    key, forged = flock.shard.keys.key, sha256(b"forged").hexdigest()
    record = note.record.to_json().replace(note.record.digest.encode(), forged.encode())
    record = record.replace(b'"size":%d' % note.size, b'"size":6')
    await plain.set(key("blob", forged), b"forged")
    await plain.hset(key("note", note.id), mapping={"digest": forged, "size": 6, "record": record})


async def forge_the_place(plain: Any, flock: Flock, note: Note) -> None:
    other = await flock.memory.put("another")
    assert other.position is not None
    await plain.hset(flock.shard.keys.key("note", note.id), mapping={"entry": other.position.entry})


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (forge_content, "its content has the SHA-256"),
        (forge_all_but_the_log, "its record is not what the event at"),
        (forge_the_place, "its record is not what the event at"),
    ],
)
async def test_a_note_that_was_tampered_with_is_refused(
    flock: Flock, join: Any, plain: Any, forge: Any, told: str
) -> None:
    note = await flock.memory.put("Owls hunt at night.", key="owls")
    assert (await flock.memory.get(note.id, verified=True)).text == "Owls hunt at night."
    await forge(plain, flock, note)
    reader = await join()
    with pytest.raises(ContentChanged, match=told) as refused:
        await reader.memory.get(note.id, verified=True)
    assert refused.value.note_id == note.id
    with pytest.raises(ContentChanged):
        await reader.memory.find("owls", verified=True)
    await reader.memory.get(note.id)  # who does not ask is not refused


@pytest.mark.parametrize("shards", [1, 3])
async def test_a_flock_that_was_opened_so_checks_whatever_is_read(
    server_url: str, flock_name: str, plain: Any, shards: int
) -> None:
    async with Flock.open(flock_name, server_url, verified=True, shards=shards) as flock:
        note = await flock.memory.put("Owls hunt at night.", key="owls", tags=["bird"])
        large = await flock.memory.put(b"x" * 2_000_000)

        async def compute() -> str:
            return "again"

        assert (await flock.memory.get_all([note.id, large.id]))[1].raw == large.raw
        assert (await flock.memory.once("owls", compute)).id == note.id
        assert (await flock.memory.once("other", compute)).text == "again"
        assert note.position is not None
        await plain.set(Keys(flock_name, note.position.shard).key("blob", note.record.digest), b"forged")
    async with Flock.open(flock_name, server_url, verified=True) as flock:
        with pytest.raises(ContentChanged):
            await flock.memory.get(note.id)
        with pytest.raises(ContentChanged):
            await flock.memory.find("owls")
        with pytest.raises(ContentChanged):
            await flock.memory.once("owls", compute)
        assert (await flock.memory.get(note.id, verified=False)).raw == b"forged"
