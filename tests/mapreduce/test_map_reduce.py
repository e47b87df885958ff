"""A user's job: mapped, shuffled and reduced by agents, whatever fails on the way."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from roost.actors import Context, Flock, Retry
from roost.actors.mapreduce import (
    Finisher,
    GiveUp,
    JobFinished,
    Mapped,
    Mapper,
    MapReduce,
    Missing,
    PartOffered,
    Reducer,
    Shuffler,
    Step,
    StreamClosed,
    agents_of,
    map_reduce,
    wait_for,
)
from roost.streams import Event, Note

PAGE = Path(__file__).parents[2] / "docs" / "mapreduce.md"


class Sum(MapReduce):
    """Numbers, summed up by their last digit."""

    fan_in = 4

    async def map(self, note: Note, label: str, ctx: Context[Any]) -> Any:
        number = int(note.text)
        if number == 13:
            raise GiveUp("13 is not counted")
        if number == 66:
            raise ValueError("66 cannot be counted")
        return {"number": number}

    def key(self, note: Note) -> str:
        return str(note.content["number"] % 10)

    async def reduce(self, step: Step, notes: Sequence[Note], ctx: Context[Any]) -> Any:
        return {"number": sum(note.content["number"] for note in notes)}


@pytest.fixture
async def flock(server_url: str, flock_name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Flock]:
    for agent in (Mapper, Shuffler, Reducer, Finisher):  # as often as ever, without pauses of seconds
        monkeypatch.setattr(agent, "retry", Retry(first_delay=timedelta(milliseconds=5)))
    async with Flock.open(flock_name, server_url) as flock:
        yield flock


async def put(flock: Flock, *numbers: int) -> list[str]:
    return [note.id for note in await asyncio.gather(*[flock.memory.put(str(number)) for number in numbers])]


async def sums(flock: Flock, finished: JobFinished) -> dict[str, int]:
    return {group: (await flock.memory.get(note)).content["number"] for group, note in finished.results.items() if note}


async def count(flock: Flock, kind: str) -> int:
    return sum([event.type == kind async for event in flock.log.read()])


async def test_notes_are_mapped_grouped_by_key_and_reduced(flock: Flock) -> None:
    finished = await map_reduce(flock, Sum(), await put(flock, 1, 11, 21, 2, 5))
    assert await sums(flock, finished) == {"1": 33, "2": 2, "5": 5}
    assert finished.missing == ()
    assert await count(flock, "part.mapped") == 5


async def test_a_job_without_notes_ends_at_once(flock: Flock) -> None:
    finished = await map_reduce(flock, Sum(), [])
    assert (finished.results, finished.result, finished.missing) == ({}, None, ())


async def test_a_large_group_is_reduced_in_steps(flock: Flock) -> None:
    steps: list[tuple[int, int, int]] = []

    class Stepwise(Sum):
        async def reduce(self, step: Step, notes: Sequence[Note], ctx: Context[Any]) -> Any:
            steps.append((step.level, step.first, len(notes)))
            return await super().reduce(step, notes, ctx)

    finished = await map_reduce(flock, Stepwise(), await put(flock, *range(1, 180, 10)))  # 18 notes that end in 1
    assert await sums(flock, finished) == {"1": sum(range(1, 180, 10))}
    assert max(size for *_, size in steps) == Sum.fan_in
    assert sorted(steps) == [(0, 0, 4), (0, 4, 4), (0, 8, 4), (0, 12, 4), (0, 16, 2), (1, 0, 4), (1, 4, 1), (2, 0, 2)]


async def test_several_batches_and_many_groups_are_all_there(flock: Flock) -> None:
    class Apart(Sum):
        def key(self, note: Note) -> str:
            return str(note.content["number"])

    numbers = [number for number in range(1, 152) if number not in (13, 66)]
    finished = await map_reduce(flock, Apart(), await put(flock, *numbers))
    assert await sums(flock, finished) == {str(number): number for number in numbers}


async def test_too_many_groups_are_refused_in_plain_words(flock: Flock) -> None:
    class Bounded(Sum):
        max_groups = 2

    finished = await map_reduce(flock, Bounded(), await put(flock, 1, 2, 3))
    assert finished.result is None
    assert "up to 2 groups, not 3" in finished.missing[0].reason


async def test_parts_that_cannot_be_mapped_are_named_and_the_rest_is_done(flock: Flock) -> None:
    notes = await put(flock, 3, 13, 66, 23)
    gone = "000000000000000000000000"
    finished = await map_reduce(flock, Sum(), [*notes, gone])
    assert await sums(flock, finished) == {"3": 26}
    reasons = {missing.what: missing.reason for missing in finished.missing}
    assert reasons[notes[1]] == "13 is not counted"
    assert reasons[notes[2]] == "66 cannot be counted"
    assert "there is no note" in reasons[gone]
    assert await count(flock, "delivery.parked") == 1  # only what was tried again and again
    assert await count(flock, "delivery.retried") == 4


async def test_missing_parts_past_a_bound_are_counted(flock: Flock) -> None:
    told: list[Missing] = []

    class Bounded(Sum):
        max_missing = 3

        async def finish(
            self, results: Mapping[str, str | None], members: Mapping[str, str], missing: Sequence[Missing],
            ctx: Context[Any],
        ) -> Any:  # fmt: skip
            told.extend(missing)

    finished = await map_reduce(flock, Bounded(), await put(flock, *[13] * 70))
    assert (len(finished.missing), finished.unnamed) == (3, 67)
    assert told[-1].what == "67 more"


async def test_a_group_that_cannot_be_reduced_is_named_by_its_title(flock: Flock) -> None:
    class Titled(Sum):
        async def reduce(self, step: Step, notes: Sequence[Note], ctx: Context[Any]) -> Any:
            if step.group == "2":
                raise GiveUp("twos do not add up")
            return await super().reduce(step, notes, ctx)

        def title(self, group: str) -> str:
            return f"numbers that end in {group}"

    finished = await map_reduce(flock, Titled(), await put(flock, 2, 3))
    assert await sums(flock, finished) == {"3": 3}
    assert finished.results["2"] is None
    assert finished.missing == (Missing("numbers that end in 2", "twos do not add up"),)


@pytest.mark.parametrize("error", [GiveUp("it cannot be"), ValueError("it is broken")])
@pytest.mark.parametrize("where", ["shuffle", "finish"])
async def test_a_job_whose_middle_or_end_fails_ends_all_the_same(flock: Flock, where: str, error: Exception) -> None:
    class Failing(Sum):
        async def shuffle(self, parts: Sequence[Mapped], ctx: Context[Any]) -> Mapping[str, Sequence[str]]:
            if where == "shuffle":
                raise error
            return await super().shuffle(parts, ctx)

        async def finish(
            self, results: Mapping[str, str | None], members: Mapping[str, str], missing: Sequence[Missing],
            ctx: Context[Any],
        ) -> Any:  # fmt: skip
            raise error

    async with asyncio.timeout(20):
        finished = await map_reduce(flock, Failing(), await put(flock, 1))
    assert finished.result is None
    assert finished.missing[-1].reason == str(error)


async def test_a_last_note_is_written_over_all_groups(flock: Flock) -> None:
    class Total(Sum):
        async def finish(
            self, results: Mapping[str, str | None], members: Mapping[str, str], missing: Sequence[Missing],
            ctx: Context[Any],
        ) -> Any:  # fmt: skip
            notes = await ctx.memory.get_all([note for note in results.values() if note])
            return {"number": sum(note.content["number"] for note in notes)}

    finished = await map_reduce(flock, Total(), await put(flock, 1, 2, 3))
    assert finished.result is not None
    assert (await flock.memory.get(finished.result)).content == {"number": 6}


async def test_a_job_waits_for_all_of_its_streams(flock: Flock) -> None:
    run = "two-streams"
    first, second = await put(flock, 1), await put(flock, 2, 13)
    since = await flock.log.last()
    async with flock.work(*agents_of(Sum()), run=run):
        await flock.append(PartOffered(run, "b", 0, 0, 1, first[0], "one"), run=run)
        await flock.append(StreamClosed(run, "b", 1, 2), run=run)
        parts = [PartOffered(run, "a", 0, index, 2, note, f"two {index}") for index, note in enumerate(second)]
        await flock.append(*parts, run=run)
        await wait_for(flock, "batch.mapped", run, since)
        assert await count(flock, "job.shuffled") == 0
        await flock.append(StreamClosed(run, "a", 1, 2, "the rest cannot be read", "stream a"), run=run)
        event: Event = await wait_for(flock, "job.finished", run, since)
    assert set(event.data["results"]) == {"1", "2"}
    missing = {each["what"]: each["reason"] for each in event.data["missing"]}
    assert missing == {"two 1": "13 is not counted", "stream a": "the rest cannot be read"}


async def test_the_same_job_again_takes_nothing_from_the_first(flock: Flock) -> None:
    notes = await put(flock, 1, 2)
    first, second = await asyncio.gather(map_reduce(flock, Sum(), notes), map_reduce(flock, Sum(), notes))
    assert first.job != second.job
    assert await sums(flock, first) == await sums(flock, second) == {"1": 1, "2": 2}


class Slow(Sum):
    """So that there is something left for those who help; each part tells which process has mapped it."""

    async def map(self, note: Note, label: str, ctx: Context[Any]) -> Any:
        await asyncio.sleep(0.05)
        return {"number": int(note.text), "process": os.getpid()}


HELPER = """
import asyncio, sys
sys.path.insert(0, {folder!r})
from roost.actors import Flock
from roost.actors.mapreduce import helping
from test_map_reduce import Slow

async def main():
    async with Flock.open({name!r}, {url!r}) as flock, helping(flock, Slow(), "helped"):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


async def test_other_processes_help(flock: Flock, server_url: str) -> None:
    code = HELPER.format(folder=str(Path(__file__).parent), name=flock.name, url=server_url)
    pipe = asyncio.subprocess.PIPE
    helpers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=pipe, stdout=pipe) for _ in range(2)
    ]
    try:
        for helper in helpers:
            assert helper.stdout is not None
            assert await helper.stdout.readline() == b"ready\n"
        finished = await map_reduce(flock, Slow(), await put(flock, *range(1, 81)), run="helped")
    finally:
        for helper in helpers:
            await helper.communicate(b"")
    assert [helper.returncode for helper in helpers] == [0, 0]
    assert sum((await sums(flock, finished)).values()) == sum(range(1, 81))
    mapped = [event.data["mapped"] async for event in flock.log.read() if event.type == "part.mapped"]
    processes = {note.content["process"] for note in await flock.memory.get_all(mapped)}
    assert len(mapped) == 80
    assert len(processes) == 3


async def test_a_job_whose_worker_cannot_go_on_raises_and_does_not_hang(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError("this worker is broken")

    monkeypatch.setattr("roost.streams.Inbox.read", broken)
    with pytest.raises(RuntimeError, match="this worker is broken"):
        async with asyncio.timeout(30):
            await map_reduce(flock, Sum(), await put(flock, 1))


async def test_the_page_about_it_is_true(server_url: str, flock_name: str, tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(import asyncio.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    [printed] = re.findall(r"```text\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    environment = os.environ | {"ROOST_URL": server_url, "ROOST_FLOCK": flock_name}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=tmp_path, env=environment
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.decode() == printed


async def test_a_run_that_does_not_finish_leaves_no_inbox_behind(flock: Flock) -> None:
    class Slow(Sum):
        async def map(self, note: Note, label: str, ctx: Context[Any]) -> Any:
            begun.set()
            await asyncio.sleep(0.5)

    begun = asyncio.Event()
    running = asyncio.create_task(map_reduce(flock, Slow(), await put(flock, *range(20)), run="r1"))
    await asyncio.wait_for(begun.wait(), 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await flock.connection.client.hgetall(flock.shard.keys.key("routes")) == {}
