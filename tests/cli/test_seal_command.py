"""`roost seal` and `roost verify --seals`: as people use them, with what they are told."""

from __future__ import annotations

import asyncio
import signal
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from roost_tests.command import RoostCommand
from roost_tests.shared_server import plain_client
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.streams import Event


@pytest.fixture
def sealing(roost: RoostCommand, tmp_path: Path) -> RoostCommand:
    """With a home for keys and seals."""
    roost.environment["ROOST_HOME"] = str(tmp_path / "home")
    return roost


def seen(number: int) -> Event:
    return Event(type="page.seen", subject=f"page/{number}")


async def test_a_log_is_sealed_and_checked_and_what_is_not_sealed_is_said(
    sealing: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    none = await sealing("verify", "--seals")
    assert (none.code, "name the public key by --public-key FILE" in none.err) == (2, True)
    await flock.append(*[seen(number) for number in range(30)])
    first = await sealing("seal", "--to", str(tmp_path / "heads.jsonl"))
    assert first.code == 0, first.err
    assert first.out.startswith("30 events sealed up to ")
    key = tmp_path / "home" / "seals" / "key"
    assert f"made the key {key}; who verifies elsewhere needs {key}.pub" in first.err
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (await sealing("seal")).out.startswith("nothing new; seal 1 is the last")
    await flock.append(seen(31))

    checked = await sealing("verify", "--seals", "--against", str(tmp_path / "heads.jsonl"))
    assert (checked.code, checked.out.split(" in ")[0]) == (0, "30 events of 1 seals")
    assert checked.out.endswith(": all is as it was sealed\n")
    assert "1 events since " in checked.err
    told = (await sealing("verify", "--seals", "--json")).json
    assert (told["clean"], told["shards"][0]["events"], told["shards"][0]["unsealed"]) == (True, 30, 1)
    assert (await sealing("verify")).code == 0  # the log's own checks bear the events of seals
    assert "log.sealed" in (await sealing("log", "--type", "log.sealed")).out


async def test_tampering_ends_with_1_and_names_the_range_where_only_the_export_is(
    sealing: RoostCommand, flock: Flock, server_url: str, flock_name: str, tmp_path: Path
) -> None:
    appended = await flock.append(*[seen(number) for number in range(30)])
    heads, public = str(tmp_path / "heads.jsonl"), str(tmp_path / "home" / "seals" / "key.pub")
    assert (await sealing("seal", "--to", heads)).code == 0
    client = plain_client(server_url, flock_name)
    await client.execute_command("XDEL", flock.shard.keys.log, appended.positions[7].entry)
    for home in ("home", "another"):
        found = await sealing(
            "verify", "--seals", "--against", heads, "--public-key", public, "--json", ROOST_HOME=str(tmp_path / home)
        )
        assert (found.code, found.json["count"]) == (1, 1)
        (one,) = found.json["shards"][0]["findings"]
        assert (one["kind"], one["first"], one["last"]) == (
            "removed", appended.positions[0].entry, appended.positions[29].entry,
        )  # fmt: skip
    people = await sealing("verify", "--seals")
    assert (people.code, "removed" in people.out, "1 findings" in people.out) == (1, True, True)

    await client.delete(flock.shard.keys.log, flock.shard.keys.key("meta"))
    gone = await sealing("verify", "--seals", "--json")
    assert (gone.code, gone.json["shards"][0]["findings"][0]["kind"]) == (1, "cut off")
    await client.aclose()


async def test_a_key_of_anothers_counts_only_where_it_is_named(
    sealing: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    await flock.append(seen(1))
    assert (await sealing("seal")).code == 0
    await flock.append(seen(2))
    other = ("--key", str(tmp_path / "other"), "--algorithm", "hmac-sha256")
    refused = await sealing("seal", *other)
    assert (refused.code, "signed by another key" in refused.err) == (1, True)
    public = str(tmp_path / "home" / "seals" / "key.pub")
    assert (await sealing("seal", *other, "--public-key", public)).code == 0
    assert (await sealing("verify", "--seals")).code == 1
    both = ("--public-key", public, "--public-key", str(tmp_path / "other"))
    assert (await sealing("verify", "--seals", *both)).code == 0


@asynccontextmanager
async def taking(answer: int, got: list[tuple[str, bytes]]) -> AsyncGenerator[str]:
    """A server that keeps what it is sent, or refuses it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        got.append((head.split(b"\r\n")[0].decode(), await reader.readexactly(size)))
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/heads"


async def test_heads_go_to_a_url_and_what_was_refused_goes_there_later(sealing: RoostCommand, flock: Flock) -> None:
    await flock.append(seen(1))
    got: list[tuple[str, bytes]] = []
    async with taking(503, got) as url:
        refused = await sealing("seal", "--to", url)
    assert (refused.code, "127.0.0.1 answered 503 to seal 1; it is kept" in refused.err) == (1, True)
    got.clear()
    async with taking(204, got) as url:
        sent = await sealing("seal", "--to", url)
        assert sent.code == 0, sent.err
        assert (await sealing("seal", "--to", url + "/")).code == 0
        assert (await sealing("seal", "--to", url)).code == 0  # it has it already
    name = flock.name
    assert [head for head, _ in got] == ["POST /heads HTTP/1.1", f"PUT /heads/{name}/0/1.json HTTP/1.1"]
    assert got[0][1] == got[1][1]


async def test_a_flock_of_several_shards_is_sealed_shard_by_shard(
    sealing: RoostCommand, server_url: str, flock_name: str, tmp_path: Path
) -> None:
    heads = str(tmp_path / "heads.jsonl")
    async with Flock.open(flock_name, server_url, agent="tester", shards=3) as flock:
        for number in range(30):
            await flock.append(seen(number))
    assert (await sealing("seal", "--to", heads)).code == 0
    told = (await sealing("verify", "--seals", "--against", heads, "--json")).json
    assert (told["clean"], [each["unsealed"] for each in told["shards"]]) == (True, [0, 0, 0])
    assert sum(each["events"] for each in told["shards"]) >= 30
    whole = await sealing("verify")
    assert whole.code == 0, whole.out


async def test_a_loop_of_it_seals_what_comes_and_ends_when_it_is_told_to(sealing: RoostCommand, flock: Flock) -> None:
    process = await sealing.start("seal", "--every", "0.1s", "--json")
    lines: list[Any] = []

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            lines.append(line)

    reading = asyncio.create_task(read())
    await flock.append(seen(1))
    await wait_until(lambda: len(lines) >= 1, timeout=20)
    await flock.append(seen(2))
    await wait_until(lambda: len(lines) >= 2, timeout=20)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    await reading
    assert (await sealing("verify", "--seals")).code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("seal", "--anew", "--every", "1m"), "--anew is for once"),
        (("seal", "--to", "ftp://there/x"), "seals go to a file, to http:// or https://, or to kafka:TOPIC"),
        (("verify", "--against", "x"), "--against and --public-key go with --seals"),
        (("verify", "--seals", "--content"), "leave the other options out"),
    ],
)
async def test_what_cannot_be_meant_is_refused(sealing: RoostCommand, words: tuple[str, ...], told: str) -> None:
    ran = await sealing(*words)
    assert (ran.code, told in ran.err) == (2, True)
