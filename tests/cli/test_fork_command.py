"""`roost fork`: another text, another code, several processes; a run that was stopped goes on as a new one."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from roost_tests.command import RoostCommand
from roost_tests.handbook import write_handbook
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.streams import Event

QUESTION = "How is copper carried?"
ACTORS = """
from dataclasses import dataclass
from typing import Any
from roost import Actor, Context, event, on


@event("sums.given")
@dataclass(frozen=True)
class Given:
    number: int


@event("sums.doubled")
@dataclass(frozen=True)
class Doubled:
    number: int


class Doubler(Actor):
    @on(Given)
    async def double(self, given: Given, ctx: Context[Any]) -> Doubled:
        return Doubled(given.number * FACTOR)


class Noter(Actor):
    @on(Doubled)
    async def note(self, doubled: Doubled, ctx: Context[Any]) -> None:
        await ctx.memory.put(str(doubled.number))
"""


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    return write_handbook(tmp_path / "handbook.md", sections=6)


async def of_run(flock: Flock, run: str) -> list[Event]:
    return [each async for each in flock.log.read() if each.run == run]


def count(events: list[Event], kind: str, member: str) -> Counter[str]:
    return Counter(each.data[member] for each in events if each.type == kind)


async def test_several_processes_give_the_edited_text_in_the_place_of_the_note(
    roost: RoostCommand, handbook: Path, tmp_path: Path, flock: Flock
) -> None:
    made = (await roost("run", str(handbook), "-q", QUESTION, "--json")).json
    section = made["answers"][0]["sources"][0]["note"]
    (tmp_path / "new.md").write_text("Copper is carried by elephants, by night. Nobody else would carry copper.")
    forked = await roost("fork", made["run"], "--edit", f"{section[:10]}=new.md", "--processes", "2", "--json")
    assert forked.code == 0, forked.err
    document = forked.json
    assert "elephants" in document["report"]
    assert "elephants" not in made["report"]
    assert document["work"]["computed"] == 2
    assert document["sections"] == 6
    instead = document["fork"]["edits"][0]["instead"]
    assert instead in [source["note"] for source in document["answers"][0]["sources"]]
    check = await flock.replay(document["run"]).check()
    assert check.checked
    assert not check.divergences, check
    for words, code, said in (
        (("--set", "reducer.fan_inn=2"), 2, "it has best=8, concurrency=8"),
        ((), 1, "had nothing left to do"),
    ):
        refused = await roost("fork", "latest", *words)
        assert (refused.code, refused.out) == (code, "")
        assert said in refused.err


@pytest.mark.long
async def test_a_report_of_a_fork_goes_into_a_file(roost: RoostCommand, handbook: Path, tmp_path: Path) -> None:
    assert (await roost("run", str(handbook), "-q", QUESTION)).code == 0
    out = await roost("fork", "latest", "--set", "report.best=1", "--out", "report.md")
    assert out.code == 0, out.err
    assert (tmp_path / "report.md").read_text("utf-8").startswith("# Report")
    assert "shares the past of" in out.err


@pytest.mark.long
async def test_a_run_that_was_stopped_goes_on_as_a_new_one(roost: RoostCommand, handbook: Path, flock: Flock) -> None:
    write_handbook(handbook, sections=5)  # more than a run that is stopped has time for
    words = ("run", str(handbook), "-q", QUESTION, "--agents", "1", "--latency", "0.9")
    process = await roost.start(*words)

    async def summarized() -> bool:
        return any([each.type == "part.mapped" async for each in flock.log.read()])

    await wait_until(summarized, timeout=20)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        await process.communicate()
    (stopped,) = [each.run or "" async for each in flock.log.read() if each.type == "run.started"]
    done = count(await of_run(flock, stopped), "work.computed", "kind")
    assert 1 <= done["summary"] < 5
    forked = await roost("fork", stopped, "--json")
    assert forked.code == 0, forked.err
    other = count(await of_run(flock, forked.json["run"]), "work.computed", "kind")
    assert done + other == {"document": 1, "cut": 1, "section": 5, "summary": 5, "answer": 1}


async def test_actors_of_ones_own_work_until_nothing_is_pending(
    roost: RoostCommand, tmp_path: Path, flock: Flock
) -> None:
    module = tmp_path / "sums.py"
    module.write_text(ACTORS.replace("FACTOR", "3"))
    given = [Event(type="sums.given", subject="sums", body=b'{"number":%d}' % n, run="sums-1") for n in range(3)]
    await flock.append(*given)
    for event in given[:2]:
        handled = {
            "event": event.id,
            "type": event.type,
            "handler": "double",
            "attempt": 1,
            "code": "x",
            "outcome": "done",
        }
        await flock.append(record(event, "Doubler", handled))
    forked = await roost("fork", "sums-1", "--code", "sums.py", "--at", str(await flock.log.last()))
    assert forked.code == 0, forked.err
    assert "nothing is pending any more; 2 handled" in forked.out
    whole = await roost("fork", "sums-1", "--code", "sums.py", "--json")
    assert whole.json["handled"] == 6, (whole.out, whole.err)
    notes = [each.data["note"] async for each in flock.log.read() if each.type == "note.written"]
    assert sorted([(await flock.memory.get(note)).text for note in notes]) == ["0", "3", "6", "6"]
    routes = await flock.shard.command("HKEYS", flock.shard.keys.key("routes"))
    assert routes == []


def record(event: Event, actor: str, data: dict[str, Any]) -> Event:
    import orjson

    return Event(
        type="delivery.handled", subject=f"actor/{actor}", body=orjson.dumps(data), actor=actor, run=event.run,
        cause=event.id, schema=2,
    )  # fmt: skip
