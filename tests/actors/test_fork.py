"""A fork shares the past of its origin: what was done is not done again, and only what differs is computed anew."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from roost_tests.crew import events_of
from roost_tests.fake_openai import FakeOpenAI
from roost_tests.handbook import QUESTIONS, write_handbook
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, on
from roost.actors.documents import Source
from roost.actors.mapreduce import JobFinished, unless_failed
from roost.actors.models import model_from_name
from roost.actors.replay.branch import need_forked
from roost.actors.replay.fork import Changes, Fork, fork
from roost.actors.replay.renaming import Renaming
from roost.actors.replay.settings import Change, changed, concerned
from roost.actors.report import Report, RunStarted, end, follow, start, unfinished, working
from roost.actors.state import States
from roost.actors.worker import inbox_name
from roost.projections.verify import verify
from roost.streams import Event, Inbox, Position, RoostError, SettingsError, Unit, event, new_id

Join = Callable[..., Awaitable[Flock]]


@dataclass(frozen=True, slots=True)
class Made:
    """A run of the report that has ended."""

    run: str
    finished: JobFinished
    report: str


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    return write_handbook(tmp_path / "handbook.md")


async def carry_out(flock: Flock, spec: RunStarted, since: Position, spool: Path, made: Fork | None = None) -> Made:
    """Work for a run until it has ended."""
    branch = None if made is None else made.branch
    async with asyncio.timeout(30):
        async with working(flock, spec, spool, branch) as workers:
            finished = await unless_failed(workers, follow(flock, spec, since, lambda _: None))
        await end(flock, spec, finished, branch=branch)
    assert finished.result is not None
    return Made(spec.run, finished, (await flock.memory.get(finished.result)).text)


async def read(flock: Flock, document: Path, *, questions: Sequence[str] = QUESTIONS[:2]) -> Made:
    """A whole run of `roost run`."""
    spec = RunStarted(new_id(), tuple(questions), (document.name,), "offline", agents=4)
    since = await start(flock, spec, [Source("file", str(document), document.name)], document.parent)
    return await carry_out(flock, spec, since, document.parent)


async def go_on(flock: Flock, made: Fork, spool: Path) -> Made:
    assert made.spec is not None
    return await carry_out(flock, made.spec, made.since, spool, made)


async def of_run(flock: Flock, run: str) -> list[Event]:
    return [each for each in await events_of(flock) if each.run == run]


async def works(flock: Flock, run: str) -> Counter[str]:
    """What a run has computed, by kind."""
    return Counter(each.data["kind"] for each in await of_run(flock, run) if each.type == "work.computed")


async def deliveries(flock: Flock, run: str) -> Counter[str]:
    """What its actors have handled."""
    return Counter(each.actor or "" for each in await of_run(flock, run) if each.type == "delivery.handled")


async def note_about(flock: Flock, word: str) -> str:
    """The section that tells of it."""
    for each in await events_of(flock, "note.written"):
        if "section" in each.data.get("tags", ()):
            note = await flock.memory.get(each.data["note"])
            if f"the old {word} " in note.text:
                return note.id
    raise AssertionError(f"no section about {word}")


async def agrees(flock: Flock) -> bool:
    """Whether the log holds together, and what is served is what it says."""
    await flock.flush()
    return (await verify([flock.shard])).is_clean


async def test_with_one_edited_section_only_that_sections_chain_is_computed_again(flock: Flock, handbook: Path) -> None:
    made = await read(flock, handbook, questions=("How is copper carried?", "Where are the kites?"))
    section = await note_about(flock, "copper")
    text = b"In region 3 copper is carried by elephants. Elephants carry copper, and copper only."
    begun = await fork(flock, made.run, Changes(edits={section: text}))
    other = await go_on(flock, begun, handbook.parent)
    assert "elephants" in other.report
    assert "elephants" not in made.report
    instead = begun.branch.forked.edits[0].instead
    assert instead in other.report
    assert section not in other.report
    inputs = {group: await members(flock, made, group) for group in made.finished.results}
    concerned = [group for group, notes in inputs.items() if section in notes]
    assert await works(flock, other.run) == {"summary": 1, "answer": len(concerned)}
    for group in set(inputs) - set(concerned):
        assert other.finished.results[group] == made.finished.results[group]
    read_by = {each.run for each in await events_of(flock, "note.read") if each.data["note"] == section}
    assert other.run not in read_by
    assert await agrees(flock)


async def test_what_reads_a_document_again_names_the_note_that_stands_for_another(flock: Flock, handbook: Path) -> None:
    made = await read(flock, handbook, questions=("How is copper carried?",))
    section = await note_about(flock, "copper")
    changes = Changes(edits={section: b"Copper is carried by elephants. They like copper."})
    offered = next(each.position for each in await of_run(flock, made.run) if each.type == "document.offered")
    begun = await fork(flock, made.run, changes, at=offered)
    other = await go_on(flock, begun, handbook.parent)
    assert (await deliveries(flock, other.run))["reader"] == 2
    assert section not in other.report
    assert begun.branch.forked.edits[0].instead in other.report
    assert await works(flock, other.run) == {"summary": 1, "answer": 1}
    check = await flock.replay(other.run).check()
    assert check.checked
    assert not check.divergences, check


async def members(flock: Flock, made: Made, group: str) -> list[str]:
    """The notes that an answer was given from."""
    for each in await of_run(flock, made.run):
        if each.type == "group.formed" and each.data["group"] == group:
            return [note for note, _ in (await flock.memory.get(each.data["notes"])).content]
    raise AssertionError(group)


async def test_what_was_done_before_the_point_is_not_done_again(flock: Flock, handbook: Path) -> None:
    made = await read(flock, handbook)
    handled = [each for each in await of_run(flock, made.run) if each.type == "delivery.handled"]
    for point in (handled[4], handled[-3]):
        assert point.position is not None
        begun = await fork(flock, made.run, at=point.position)
        before = Counter(each.actor or "" for each in handled if each.position and each.position <= point.position)
        other = await go_on(flock, begun, handbook.parent)
        assert other.report == made.report
        assert await works(flock, other.run) == {}
        after = await deliveries(flock, other.run)
        assert before + after == await deliveries(flock, made.run)
        assert begun.pending <= after.total()
    assert await agrees(flock)


@pytest.mark.long
async def test_from_any_point_the_same_comes_of_it_and_nothing_is_done_twice(flock: Flock, tmp_path: Path) -> None:
    made = await read(flock, write_handbook(tmp_path / "handbook.md", 70))
    events = await of_run(flock, made.run)
    finished = next(each.position for each in events if each.type == "job.finished")
    assert finished is not None
    points = [each.position for each in events if each.position is not None and each.position < finished]
    handled = [each.position for each in events if each.type == "delivery.handled"]
    all_of_them = (await deliveries(flock, made.run)).total()
    for point in Random(7).sample(points, 20):
        begun = await fork(flock, made.run, at=point)
        other = await go_on(flock, begun, tmp_path)
        assert other.report == made.report
        assert await works(flock, other.run) == {}
        before = sum(1 for each in handled if each is not None and each <= begun.at)
        assert before + (await deliveries(flock, other.run)).total() == all_of_them
    assert await agrees(flock)


async def test_with_another_model_only_what_depends_on_it_is_done_again(
    join: Join, handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = await join(model="offline")
    made = await read(flock, handbook)
    async with FakeOpenAI() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
        other_model = await join(model="openai/other")
        begun = await fork(other_model, made.run, Changes(model="openai/other"))
        other = await go_on(other_model, begun, handbook.parent)
        assert begun.spec is not None
        assert (begun.spec.model, begun.spec.origin) == ("openai/other", made.run)
        assert server.calls == server.distinct == 12 + 2
        assert await works(flock, other.run) == {"summary": 12, "answer": 2}
        again = await go_on(
            other_model, await fork(other_model, made.run, Changes(model="openai/other")), handbook.parent
        )
        assert (server.calls, again.report) == (14, other.report)
    assert await works(flock, again.run) == {}


async def test_a_run_that_was_stopped_goes_on_as_a_new_one(join: Join, handbook: Path) -> None:
    flock = await join(model=model_from_name("offline", latency=timedelta(milliseconds=50)))
    spec = RunStarted(new_id(), QUESTIONS[:1], ("handbook.md",), "offline", agents=1)
    since = await start(flock, spec, [Source("file", str(handbook), "handbook.md")], handbook.parent)
    async with working(flock, spec, handbook.parent) as workers:
        await flock.wait_for("part.mapped", run=spec.run, since=since, timeout=timedelta(seconds=10))
        for worker in workers:
            worker.hurry()
    await end(flock, spec, unfinished(spec, "the run was stopped"))
    done = await works(flock, spec.run)
    assert 1 <= done["summary"] < 12
    begun = await fork(flock, spec.run)
    other = await go_on(flock, begun, handbook.parent)
    assert done + await works(flock, other.run) == {"document": 1, "cut": 1, "section": 12, "summary": 12, "answer": 1}
    assert not other.finished.missing


async def test_a_point_within_a_commit_shares_none_of_it(flock: Flock, handbook: Path) -> None:
    made = await read(flock, handbook)
    mapped = next(each for each in await of_run(flock, made.run) if each.type == "part.mapped")
    assert mapped.position is not None
    begun = await fork(flock, made.run, at=mapped.position)  # the record of the delivery comes right behind it
    other = await go_on(flock, begun, handbook.parent)
    assert other.report == made.report
    assert (await deliveries(flock, other.run))["summarizer"] == 12


async def test_a_fork_of_a_fork_has_what_both_do_otherwise(flock: Flock, handbook: Path) -> None:
    made = await read(flock, handbook, questions=("How is copper carried?",))
    section = await note_about(flock, "copper")
    first = await fork(flock, made.run, Changes(edits={section: b"Copper is carried by elephants. They like it."}))
    await go_on(flock, first, handbook.parent)
    second = await fork(flock, first.run, Changes(settings=(Change.parse("report.best=2"),)))
    other = await go_on(flock, second, handbook.parent)
    assert second.branch.forked.origin == first.run
    assert "elephants" in other.report
    assert (await works(flock, other.run))["summary"] == 0
    third = await fork(
        flock, second.run, Changes(edits={second.branch.forked.edits[0].instead: b"Copper is carried by whales. So."})
    )
    assert "whales" in (await go_on(flock, third, handbook.parent)).report
    assert set((await third.branch.shared(flock)).until) == {made.run, first.run, second.run}
    assert await agrees(flock)


async def test_another_setting_changes_what_comes_after_it_alone(flock: Flock, handbook: Path) -> None:
    made = await read(flock, handbook)
    begun = await fork(flock, made.run, Changes(settings=(Change.parse("reducer.fan_in=3"),)))
    assert {actor.name for actor in begun.crew} >= {"reader", "reducer", "editor"}
    other = await go_on(flock, begun, handbook.parent)
    done = await deliveries(flock, other.run)
    assert (done["summarizer"], done["collector"], done["shuffler"]) == (0, 0, 0)
    assert (done["reducer"], done["editor"]) == (3, 3)  # the listing, and two questions
    assert set(await works(flock, other.run)) == {"answer"}


async def test_what_has_nothing_left_to_do_is_not_forked(flock: Flock, handbook: Path) -> None:
    made = await read(flock, handbook)
    with pytest.raises(RoostError, match="nothing left to do"):
        await fork(flock, made.run)
    with pytest.raises(RoostError, match="has not read the note"):
        await fork(flock, made.run, Changes(edits={"0" * 24: b"x"}))
    with pytest.raises(RoostError, match="has no run"):
        await fork(flock, "nobody")
    with pytest.raises(RoostError, match="there is no past"):
        await fork(flock, made.run, at=Position(0, 5, 0))


KILLED = """
import asyncio, os, signal, sys
from roost.actors import Flock
from roost.actors.replay import fork as forks, fork_writer
from roost.streams import Position

async def main(url, name, run, at, writes):
    fork_writer.UNIT_EVENTS = 4
    async with Flock.open(name, url) as flock:
        write = flock.writer.write
        async def write_some(unit, **more):
            global left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return await write(unit, **more)
        flock.writer.write = write_some
        await forks.fork(flock, run, at=Position.parse(at))

left = int(sys.argv[5])
asyncio.run(main(*sys.argv[1:]))
"""


async def test_who_is_killed_while_making_a_fork_leaves_nothing_to_be_worked_for(
    flock: Flock, handbook: Path, server_url: str
) -> None:
    made = await read(flock, handbook)
    at = next(each.position for each in await of_run(flock, made.run) if each.type == "part.mapped")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, server_url, flock.name, made.run, str(at), "2"
    )
    assert await process.wait() == -9
    copies = [each for each in await events_of(flock) if each.run not in (None, made.run)]
    assert len(copies) == 8
    with pytest.raises(RoostError, match="never begun"):
        await need_forked(flock, copies[0].run or "")
    assert (await go_on(flock, await fork(flock, made.run, at=at), handbook.parent)).report == made.report
    assert await agrees(flock)


async def test_a_fork_that_was_cut_off_while_it_was_made_was_never_begun(
    flock: Flock, handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await read(flock, handbook)
    at = next(each.position for each in await of_run(flock, made.run) if each.type == "part.mapped")
    assert at is not None
    monkeypatch.setattr("roost.actors.replay.fork_writer.UNIT_EVENTS", 4)
    write, left = flock.writer.write, [3]

    async def write_some(unit: Unit, **more: Any) -> Any:
        if not left[0]:
            raise asyncio.CancelledError
        left[0] -= 1
        return await write(unit, **more)

    monkeypatch.setattr(flock.writer, "write", write_some)
    with pytest.raises(asyncio.CancelledError):
        await fork(flock, made.run, at=at)
    monkeypatch.undo()
    copies = [each for each in await events_of(flock) if each.run not in (None, made.run)]
    assert copies
    assert not [each for each in copies if each.type.startswith("run.")]
    state = await Inbox(flock.shard, inbox_name("summarizer", copies[0].run), "").state()
    assert state.length == 0
    assert (await go_on(flock, await fork(flock, made.run, at=at), handbook.parent)).report == made.report
    assert await agrees(flock)


@event("fork.ordered")
@dataclass(frozen=True, slots=True)
class Ordered:
    shop: str
    pieces: int


@event("fork.counted")
@dataclass(frozen=True, slots=True)
class Counted:
    pieces: int


@event("fork.told")
@dataclass(frozen=True, slots=True)
class Told:
    pieces: int


@dataclass(frozen=True)
class Sum:
    pieces: int = 0
    seen: tuple[int, ...] = field(default=())


class Shop(Actor):
    """Counts what is ordered, and tells later."""

    name = "shop"
    state = Sum
    step = 1

    @on(Ordered, key=lambda ordered: ordered.shop)
    async def count(self, ordered: Ordered, ctx: Context[Sum]) -> Counted:
        ctx.later(Told(ctx.state.pieces), delay=timedelta(milliseconds=150), subject="told")
        return Counted(ordered.pieces * self.step)

    def evolve(self, state: Sum, event: Any) -> Sum:
        return Sum(state.pieces + event.pieces, (*state.seen, event.pieces)) if isinstance(event, Counted) else state


class TenfoldShop(Shop):
    """As its author has changed it."""

    name = "shop"
    step = 10


class Teller(Actor):
    name = "teller"

    @on(Told)
    async def tell(self, told: Told, ctx: Context[Any]) -> None:
        return None


async def all_told(flock: Flock, run: str, times: int) -> None:
    await wait_until(lambda: enough(flock, run, times), timeout=20, every=0.03)


async def enough(flock: Flock, run: str, times: int) -> bool:
    return (await deliveries(flock, run))["teller"] >= times


async def shop(flock: Flock, run: str, key: str | None = None) -> None:
    """A run of the user's own actors."""
    async with flock.work(Shop(), Teller(), run=run) as workers:
        for pieces in range(1, 7):
            await flock.append(Ordered(key or f"{run}/a", pieces), run=run)
        await all_told(flock, run, 6)
    for worker in workers:
        await worker.take_away()


def load_shops(_: str) -> list[Actor]:
    """What their module holds now."""
    return [TenfoldShop(), Teller()]


async def state_of(flock: Flock, run: str, key: str | None = None) -> Sum:
    stored = await States(flock.shard, Shop()).load(key or f"{run}/a")
    folded = await States(flock.shard, Shop()).fold(key or f"{run}/a")
    assert (stored.version, stored.value) == (folded.version, folded.value)
    assert isinstance(stored.value, Sum)
    return stored.value


async def test_keyed_state_goes_on_from_the_point_and_timers_come_again(flock: Flock) -> None:
    run = new_id()
    await shop(flock, run)
    counted = [each for each in await of_run(flock, run) if each.type == "delivery.handled" and each.actor == "shop"]
    changes = Changes(code="shops", make_code=load_shops)
    begun = await fork(flock, run, changes, at=counted[2].position)
    assert await state_of(flock, begun.run) == Sum(6, (1, 2, 3))
    told = [each for each in await of_run(flock, run) if each.type == "fork.told"]
    came = sum(1 for each in told if each.position is not None and each.position <= begun.at)
    assert begun.timers == 3 - came
    async with flock.work(*begun.crew, run=begun.run):
        await all_told(flock, begun.run, 6 - came)
    assert await state_of(flock, begun.run) == Sum(6 + 40 + 50 + 60, (1, 2, 3, 40, 50, 60))
    assert await state_of(flock, run) == Sum(21, (1, 2, 3, 4, 5, 6))
    assert (await deliveries(flock, begun.run))["shop"] == 3
    second = await fork(flock, begun.run, changes, at=timedelta(0))
    assert (second.timers, second.pending) == (begun.timers, begun.pending)
    async with flock.work(*second.crew, run=second.run):
        await all_told(flock, second.run, 6 - came)
    assert await state_of(flock, second.run) == await state_of(flock, begun.run)
    assert await agrees(flock)


async def test_a_key_that_others_write_too_is_the_forks_own_from_the_point_on(flock: Flock) -> None:
    earlier, run = new_id(), new_id()
    await shop(flock, earlier, "north")
    await shop(flock, run, "north")
    handled = [each for each in await of_run(flock, run) if each.type == "delivery.handled" and each.actor == "shop"]
    changes = Changes(code="shops", make_code=load_shops)
    begun = await fork(flock, run, changes, at=handled[1].position)
    own = f"{begun.run}/north"
    assert await state_of(flock, begun.run, own) == Sum(24, (1, 2, 3, 4, 5, 6, 1, 2))
    async with flock.work(*begun.crew, run=begun.run):
        await wait_until(lambda: enough(flock, begun.run, 4), timeout=20, every=0.03)
        await wait_until(lambda: inbox_empty(flock, begun.run))
    assert (await state_of(flock, begun.run, own)).pieces == 24 + 30 + 40 + 50 + 60
    assert (await state_of(flock, run, "north")).pieces == 42
    second = await fork(flock, begun.run, changes, at=timedelta(0))
    assert await state_of(flock, second.run, f"{second.run}/north") == Sum(24, (1, 2, 3, 4, 5, 6, 1, 2))
    assert await agrees(flock)


async def inbox_empty(flock: Flock, run: str) -> bool:
    return not (await Inbox(flock.shard, inbox_name("shop", run), "").state()).length


async def test_other_code_begins_before_its_first_delivery(flock: Flock) -> None:
    run = new_id()
    await shop(flock, run)
    begun = await fork(flock, run, Changes(code="shops", make_code=load_shops))
    async with flock.work(*begun.crew, run=begun.run):
        await all_told(flock, begun.run, 6)
    assert (await state_of(flock, begun.run)).pieces == 210


async def test_actors_that_would_handle_everything_twice_are_refused(flock: Flock) -> None:
    run = new_id()
    await shop(flock, run)
    with pytest.raises(RoostError, match="--code"):
        await fork(flock, run)
    async with flock.work(Teller()):
        with pytest.raises(RoostError, match="teller has an inbox for the whole flock"):
            await fork(flock, run, Changes(code="shops", make_code=load_shops), at=timedelta(0))


def test_a_setting_is_as_its_present_value_and_an_unknown_one_is_refused() -> None:
    report = Report(())
    agents = report.agents()
    changes = ("reducer.retry.attempts=2", "summarizer.timeout=90s", "report.best=3", "editor.halt=true")
    crew = {actor.name: actor for actor in changed(agents, [Change.parse(text) for text in changes])}
    assert (crew["reducer"].retry.attempts, crew["reducer"].retry.factor) == (2, 2.0)
    assert crew["summarizer"].longest() == timedelta(seconds=90)
    assert crew["editor"].halt is True
    assert report.best == 3
    assert [crew[actor.name].code for actor in agents] == [actor.code for actor in agents]
    for text, said in (
        ("nobody.x=2", "there are collector, editor, reducer, report, shuffler, summarizer"),
        ("reducer.fan_in=many", "must be of type int; it is 8 now"),
        ("reducer.concurrency=0", "at least 1"),
        ("reducer.name=x", "has no setting"),
        ("summarizer.timeout=soon", "a time, in seconds"),
    ):
        with pytest.raises(SettingsError, match=said):
            concerned(agents, Change.parse(text))
    with pytest.raises(SettingsError, match="write ACTOR"):
        Change.parse("reducer=2")


def test_a_run_is_renamed_where_a_text_or_a_segment_is_its_id() -> None:
    renaming = Renaming("r1", "n1", {"old": "new"})
    assert renaming.text("run/r1") == "run/n1"
    assert renaming.text("r1/a/r12/xr1") == "n1/a/r12/xr1"
    assert renaming.body(b'{"job":"r1","note":"old","text":"of r1, and old","many":["r1/0",1,null]}') == (
        b'{"job":"n1","note":"new","text":"of r1, and old","many":["n1/0",1,null]}'
    )
    untouched = b'{"a": 1.0,  "b": 12345678901234567890123}'
    assert renaming.body(untouched) is untouched
