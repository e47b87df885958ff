"""An archive as other programs read it, and in a store that speaks S3's protocol."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from roost_tests.ports import free_port
from roost_tests.waiting import wait_until

from roost import Flock
from roost.projections.retention import archive
from roost.streams import Event
from roost.streams.archive.checking import check_archive
from roost.streams.archive.shelf import open_shelf
from roost.streams.archive.store import ArchiveUnusable, Store

PYTHON = os.environ.get("ROOST_TEST_ARCHIVE_PYTHON", "")
"""A Python that has DuckDB, pandas and moto."""

pytestmark = [
    pytest.mark.archive,
    pytest.mark.skipif(not PYTHON, reason="`make test-archive` installs DuckDB, pandas and moto, and runs this"),
]

DUCKDB = """
import duckdb, json, sys
rows = duckdb.sql(f"SELECT position, type, to_json(data), raw IS NOT NULL FROM read_json('{sys.argv[1]}', "
                  "format = 'newline_delimited') ORDER BY position").fetchall()
print(json.dumps(rows))
"""
PANDAS = """
import glob, json, pandas, sys
frame = pandas.read_json(glob.glob(sys.argv[1])[0], lines=True, compression="zstd")
print(json.dumps([[row.position, row.type] for row in frame.itertuples()]))
"""
MAKE_BUCKET = """
import boto3, sys
boto3.client("s3", endpoint_url=sys.argv[1], region_name="us-east-1").create_bucket(Bucket="owls")
"""


class S3:
    """A process that keeps what it is given in its memory, behind S3's protocol."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        quiet = asyncio.subprocess.DEVNULL
        words = (PYTHON, "-m", "moto.server", "-p", str(self.port))
        self.process = await asyncio.create_subprocess_exec(*words, stdout=quiet, stderr=quiet)
        await wait_until(self.answers, timeout=30)
        await run(MAKE_BUCKET, self.url)

    async def answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()


async def run(text: str, *words: str) -> str:
    """What a program in the other Python prints."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(PYTHON, "-c", text, *words, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.fixture
async def s3(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[S3]:
    server = S3()
    given = {"ACCESS_KEY_ID": "an-id", "SECRET_ACCESS_KEY": "very-secret", "REGION": "us-east-1", "ALLOW_HTTP": "true"}
    for name, value in (given | {"ENDPOINT": server.url}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def flock(flock_name: str, server_url: str) -> AsyncIterator[Flock]:
    async with Flock.open(flock_name, server_url) as flock:
        await flock.memory.put("Owls hunt at night.", key="owls")
        for body in (b'{"n":1}', b'{"n":"two"}', b"[1.0]", b'{ "spaced": 99999999999999999999999 }', b'"text"'):
            await flock.append(Event(type="page.seen", subject="page/1", body=body))
        log = flock.shard.keys.log
        await flock.shard.command("XADD", log, "*", "foreign", b"\xff\x00")
        yield flock


async def listed(flock: Flock) -> list[Any]:
    return [entry async for page in flock.log.pages() for entry in page]


async def test_duckdb_and_pandas_read_segments_as_they_are(flock: Flock, tmp_path: Path) -> None:
    before = await listed(flock)
    await archive(flock.shard, Store(str(tmp_path)))
    pattern = f"{tmp_path}/*/0/*--*.jsonl.zst"
    rows = orjson.loads(await run(DUCKDB, pattern))
    assert [row[0] for row in rows] == [entry.decode() for entry, _ in before]
    assert [row[1] for row in rows] == ["note.written", *["page.seen"] * 5, ""]
    assert [orjson.loads(row[2]) for row in rows[1:4]] == [{"n": 1}, {"n": "two"}, [1.0]]
    assert [row[3] for row in rows] == [False] * 6 + [True]
    assert orjson.loads(await run(PANDAS, pattern)) == [row[:2] for row in rows]


async def test_an_archive_in_s3_is_read_on_as_if_it_were_here(
    flock: Flock, s3: S3, capfd: pytest.CaptureFixture[str]
) -> None:
    before = await listed(flock)
    done = await archive(flock.shard, Store("s3://owls/here"))
    assert done.trimmed.events == len(before)
    assert await listed(flock) == before
    await flock.append(Event(type="page.seen", subject="page/1"))
    await archive(flock.shard, Store("s3://owls/here/"))
    assert (await listed(flock))[: len(before)] == before
    shelf, _ = await open_shelf(flock.shard)
    assert await shelf.blob(sha256(b"Owls hunt at night.").hexdigest()) == b"Owls hunt at night."
    found = await check_archive(flock.shard, begin=lambda what, total: None, progress=lambda events: None)
    assert (found.faults, found.segments, found.events) == ([], 2, len(before) + 1)
    kept = await flock.shard.command("HGETALL", flock.shard.keys.key("meta"))
    assert "secret" not in str(kept) + "".join(capfd.readouterr())


async def test_a_store_that_goes_away_is_told_in_one_line_and_nothing_leaves(flock: Flock, s3: S3) -> None:
    before = await flock.log.length()
    await s3.kill()
    with pytest.raises(ArchiveUnusable) as failed:
        await archive(flock.shard, Store("s3://owls/here"))
    assert "\n" not in str(failed.value)
    assert "secret" not in str(failed.value)
    assert await flock.log.length() == before
    await s3.start()
    assert (await archive(flock.shard, Store("s3://owls/here"))).trimmed.events == before
    await s3.kill()
    with pytest.raises(ArchiveUnusable, match="cannot be read"):
        await listed(flock)


async def test_a_bucket_that_is_not_there_is_told(flock: Flock, s3: S3) -> None:
    with pytest.raises(ArchiveUnusable, match="s3://nobody/here"):
        await archive(flock.shard, Store("s3://nobody/here"))
