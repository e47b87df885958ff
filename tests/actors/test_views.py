"""Projections of a program's own: folded once whoever folds, read while they are folded, replaced by newer ones."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from roost_tests.subjects_seen import Seen, Subjects, following_process

from roost.actors import Flock
from roost.projections import Folder, HeldRows, Projection, ProjectionStopped, Rows, ViewReplaced, view_of
from roost.projections.rebuilding import rebuild_view, verify_view
from roost.projections.view import fold_to
from roost.streams import Event, Log, SettingsError
from roost.streams.every_shard import find_shards
from roost.streams.views import StaleCheckpoint, Standing, StoredView, list_views

Join = Callable[..., Awaitable[Flock]]
LEASE = timedelta(milliseconds=300)


class Pages(Subjects):
    name = "pages"
    types = frozenset({"page.seen"})

    def merge(self, one: Seen, other: Seen) -> Seen:
        return Seen(one.count + other.count)

    def evolve(self, event: Event, rows: Rows[Seen]) -> None:
        rows["all"] = Seen(rows.get("all", Seen()).count + 1)


class Fussy(Projection[Seen]):
    name = "fussy"

    def evolve(self, event: Event, rows: Rows[Seen]) -> None:
        rows["all"] = Seen(rows.get("all", Seen()).count + 1)
        if event.data.get("poison"):
            rows["poisoned"] = Seen(1)
            raise ValueError("that cannot be")


class Mended(Fussy):
    def evolve(self, event: Event, rows: Rows[Seen]) -> None:
        rows["all"] = Seen(rows.get("all", Seen()).count + 1)


class Forgiving(Fussy):
    name = "forgiving"
    on_poison = "skip"


def seen(number: int, **data: Any) -> Event:
    return Event(type="page.seen", subject=f"page/{number}", body=orjson.dumps(data))


async def fill(flock: Flock, count: int, subjects: int = 37) -> None:
    for first in range(0, count, 100):
        await flock.append(*[seen(number % subjects) for number in range(first, min(first + 100, count))])


async def folded(flock: Flock, projection: Projection[Any]) -> dict[str, Any]:
    """The same, from the whole log, in memory."""
    rows: HeldRows[Any] = HeldRows()
    async for event in flock.log.read():
        projection.evolve(event, rows)
    return rows.held


async def rows_of(flock: Flock, projection: type[Projection[Any]]) -> dict[str, Any]:
    return {key: row async for key, row in flock.view(projection).range()}


async def test_a_view_is_the_fold_of_the_log(flock: Flock) -> None:
    await fill(flock, 1300)
    view = flock.view(Subjects)
    told: list[tuple[int, int]] = []
    await view.catch_up(lambda done, total: told.append((done, total)))
    assert await rows_of(flock, Subjects) == await folded(flock, Subjects())
    assert told[-1] == (1300, 1300)
    assert await view.get("page/3") == Seen(36, "page.seen after page/2")
    assert await view.get("page/3000") is None
    assert [key async for key, _ in view.range("page/1", after="page/10", limit=3)] == ["page/11", "page/12", "page/13"]
    assert await view.count("page/") == 37
    lag = await view.lag()
    assert (lag.events, lag.seconds) == (0, 0)
    await flock.append(seen(1))
    assert (await view.lag()).events == 1


async def test_fewer_rows_are_held_than_there_are(flock: Flock) -> None:
    await fill(flock, 900, subjects=300)
    folder = Folder(flock.shard, Subjects(), max_held=5)
    async for page in Log(flock.shard).pages():
        await folder.fold_page(page)
    assert await rows_of(flock, Subjects) == await folded(flock, Subjects())


async def test_who_folds_from_elsewhere_is_refused(flock: Flock) -> None:
    await fill(flock, 50)
    one, other = Folder(flock.shard, Subjects()), Folder(flock.shard, Subjects())
    (page,) = [entries async for entries in Log(flock.shard).pages()]
    await one.begin()
    await other.begin()
    await one.fold_page(page[:20])
    with pytest.raises(StaleCheckpoint):
        await other.fold_page(page)
    assert (await other.begin()).passed == 20
    await other.fold_page(page[20:])
    with pytest.raises(StaleCheckpoint):
        await one.fold_page(page[20:40])
    assert (await flock.view(Subjects).get("all")) == Seen(50)


async def test_two_who_both_believe_that_they_lead_fold_nothing_twice(join: Join, flock: Flock) -> None:
    others = [await join() for _ in range(3)]
    done = asyncio.Event()

    async def fold_on(peer: Flock) -> None:
        while not done.is_set():
            await peer.view(Subjects).catch_up()

    folding = [asyncio.create_task(fold_on(peer)) for peer in others]
    await fill(flock, 2000)
    done.set()
    await asyncio.gather(*folding)
    await flock.view(Subjects).catch_up()
    assert await rows_of(flock, Subjects) == await folded(flock, Subjects())


async def test_a_repeat_of_a_step_whose_answer_was_lost_is_no_step_of_another(flock: Flock) -> None:
    view = StoredView(flock.shard, "subjects", 1)
    before, standing = await view.read_standing()
    after = standing.at(standing.position._replace(ms=5), passed=1)
    first = await view.store(before, after, {"a": b"1"}, token="mine")
    assert await view.store(before, after, {"a": b"1"}, token="mine") == first
    with pytest.raises(StaleCheckpoint):  # another, who has come to the same place: his rows may be others
        await view.store(before, after, {"a": b"1"})
    with pytest.raises(StaleCheckpoint):
        await view.store(before, after.at(after.position._replace(ms=6), passed=1), {"a": b"2"})
    assert Standing.parse(after.to_text(), 0) == after


async def test_what_is_followed_can_be_waited_for(flock: Flock) -> None:
    view = flock.view(Subjects)
    async with flock.follow(Subjects, lease=LEASE):
        await fill(flock, 300)
        appended = await flock.append(seen(7))
        await view.wait(appended.positions)
        assert await view.get("all") == Seen(301)
    with pytest.raises(TimeoutError):
        await view.wait((await flock.append(seen(7))).positions, timeout=timedelta(milliseconds=50))


async def follow_for_ever(flock: Flock, projection: type[Projection[Any]]) -> None:
    async with asyncio.timeout(5), flock.follow(projection, lease=LEASE):
        await asyncio.Event().wait()


async def test_another_takes_over_within_a_lease_from_one_that_was_killed(
    flock: Flock, settings: dict[str, Any]
) -> None:
    async with following_process(settings, LEASE) as process:
        await fill(flock, 100)
        await flock.view(Subjects).wait((await flock.append(seen(1))).positions)
        async with flock.follow(Subjects, lease=LEASE):
            process.kill()
            appended = await flock.append(seen(2))
            await flock.view(Subjects).wait(appended.positions, timeout=timedelta(seconds=20))
    assert await rows_of(flock, Subjects) == await folded(flock, Subjects())


async def test_one_that_was_frozen_comes_back_and_does_no_harm(flock: Flock, settings: dict[str, Any]) -> None:
    async with following_process(settings, LEASE) as process, flock.follow(Subjects, lease=LEASE):
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            await fill(flock, 200)
            appended = await flock.append(seen(2))
            await flock.view(Subjects).wait(appended.positions, timeout=timedelta(seconds=20))
            process.send_signal(signal.SIGCONT)
            await fill(flock, 200)
        await flock.view(Subjects).wait((await flock.append(seen(2))).positions)
    assert await rows_of(flock, Subjects) == await folded(flock, Subjects())


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.timeout(300)
async def test_a_follower_that_is_killed_at_any_moment_folds_nothing_twice(
    flock: Flock, settings: dict[str, Any], kills: int
) -> None:
    """Each is killed in the middle of its work; two wait in line to take over."""
    stop = asyncio.Event()

    async def append_on() -> None:
        while not stop.is_set():
            await fill(flock, 100)
            await asyncio.sleep(0.01)

    view, short = flock.view(Subjects), timedelta(milliseconds=100)
    appending = asyncio.create_task(append_on())
    killed = 0

    async def follow_and_die() -> None:
        nonlocal killed
        while killed < kills:
            async with following_process(settings, short) as process:
                await asyncio.sleep(random.uniform(0.15, 0.4))
                process.kill()
                killed += 1

    await asyncio.gather(*[follow_and_die() for _ in range(3)])
    stop.set()
    await appending
    folded_by_them = (await view.standings())[0].passed
    assert folded_by_them > 0
    await view.catch_up()
    assert await rows_of(flock, Subjects) == await folded(flock, Subjects())


async def test_an_event_that_cannot_be_folded_stops_a_projection_and_is_told(flock: Flock) -> None:
    await flock.append(seen(1), seen(2), seen(3, poison=True), seen(4))
    view = flock.view(Fussy)
    for _ in range(2):
        with pytest.raises(ProjectionStopped, match=r"stops before the event at \d+-\d+ \(page.seen\).*that cannot be"):
            await view.catch_up()
    standing = (await view.standings())[0]
    assert (standing.passed, standing.failed) == (2, 0)
    assert standing.stopped is not None
    assert [each async for each in view.range()] == [("all", Seen(2))]
    mended = flock.view(Mended)
    await mended.catch_up()
    assert await mended.get("all") == Seen(4)
    assert (await view.standings())[0].stopped is None


async def test_who_follows_is_told_that_the_projection_has_stopped(flock: Flock) -> None:
    await flock.append(seen(3, poison=True))
    with pytest.raises(ProjectionStopped):
        await follow_for_ever(flock, Fussy)


async def test_an_event_that_cannot_be_folded_is_passed_over_and_counted_where_that_is_wanted(flock: Flock) -> None:
    await flock.append(seen(1), seen(3, poison=True), seen(4), seen(5, poison=True))
    view = flock.view(Forgiving)
    await view.catch_up()
    assert await view.get("all") == Seen(2), "nothing of what it did before it failed is kept"
    assert await view.get("poisoned") is None
    assert (await view.standings())[0].failed == 2
    failures = await view.failures()
    assert [failure.error for failure in failures] == ["ValueError: that cannot be"] * 2


async def test_a_newer_version_is_built_beside_the_old_one_and_takes_over(flock: Flock) -> None:
    class Newer(Subjects):
        version = 2

        def evolve(self, event: Event, rows: Rows[Seen]) -> None:
            rows["all"] = Seen(rows.get("all", Seen()).count + 2)

    await fill(flock, 600)
    old, new = flock.view(Subjects), flock.view(Newer)
    await old.catch_up()
    newer = Folder(flock.shard, Newer())
    pages = [page async for page in Log(flock.shard).pages()]
    await newer.fold_page(pages[0])
    assert await old.get("all") == Seen(600), "the old one is read while the new one is built"
    assert await StoredView(flock.shard, "subjects", 2).take() == 1, "it has not come as far"
    await new.catch_up()
    assert await new.get("all") == Seen(1200)
    with pytest.raises(ViewReplaced, match="is read in version 2 now, this program has version 1"):
        await old.get("all")
    with pytest.raises(ViewReplaced):
        await old.catch_up()
    with pytest.raises(ViewReplaced):
        await follow_for_ever(flock, Subjects)
    with pytest.raises(SettingsError, match="is what is read"):
        await flock.drop_view("subjects", 2)
    assert await flock.drop_view("subjects", 2, live=True)
    assert not await flock.drop_view("subjects", 2, live=True)


async def test_partial_rows_of_several_shards_are_merged(server_url: str, flock_name: str) -> None:
    async with Flock.open(flock_name, server_url, shards=3) as flock:
        for number in range(40):
            await flock.append(seen(number))
        view = flock.view(Pages)
        await view.catch_up()
        assert len([each for each in await view.standings() if each.passed]) == 3
        assert await view.get("all") == Seen(40)
        assert [each async for each in view.range()] == [("all", Seen(40))]
        unmerged = flock.view(Forgiving)
        await unmerged.catch_up()
        with pytest.raises(NotImplementedError, match="give it a merge"):
            await unmerged.get("all")


async def test_a_row_that_is_too_large_or_no_json_is_as_an_event_that_cannot_be_folded(flock: Flock) -> None:
    class Odd(Projection[dict[str, Any]]):
        name = "odd"
        on_poison = "skip"

        def evolve(self, event: Event, rows: Rows[dict[str, Any]]) -> None:
            rows["a"] = {"a": "x" * 300_000} if event.subject == "page/1" else {"a": object()}
            if event.subject == "page/3":
                rows["x" * 2000] = {}
            if event.subject == "page/4":
                rows["a"] = {"a": 1}

    await flock.append(*[seen(number) for number in range(1, 5)])
    view = flock.view(Odd)
    await view.catch_up()
    assert await view.get("a") == {"a": 1}
    assert (await view.standings())[0].failed == 3


def test_what_a_view_is_made_of_may_be_an_object_or_a_class() -> None:
    assert view_of([], Subjects).projection.name == view_of([], Subjects()).projection.name == "subjects"


async def test_a_view_that_was_changed_by_hand_is_found_out_and_built_again(flock: Flock) -> None:
    await fill(flock, 700)
    await flock.view(Subjects).catch_up()
    shard, rows = flock.shard, flock.shard.keys.key("view", "subjects/1")
    assert await verify_view(shard, Subjects()) is None
    good = await shard.command("HGET", rows, "page/7")
    for by_hand, found in [
        (
            ("HSET", rows, "page/7", b'{"count":1,"last":""}'),
            "row page/7 of view subjects/1: the log says {'count': 19,",
        ),
        (("HDEL", rows, "page/7"), "row page/7 .* the server has None"),
        (("HSET", rows, "page/7", b"no json"), "the server has b'no json'"),
        (("HSET", rows, "page/7000", good), "row page/7000 .* the log says None"),
        (("ZREM", shard.keys.key("order", "subjects/1"), "page/3"), "order of row page/3"),
    ]:
        await shard.command(*by_hand)
        difference = await verify_view(shard, Subjects())
        assert difference is not None
        assert re.search(found, str(difference)), str(difference)
        assert await rebuild_view(shard, Subjects()) == 700
        assert await verify_view(shard, Subjects()) is None
    assert await rows_of(flock, Subjects) == await folded(flock, Subjects())


async def test_a_view_is_built_again_while_it_is_followed(flock: Flock) -> None:
    await fill(flock, 700)
    async with flock.follow(Subjects, lease=LEASE):
        for _ in range(3):
            filling = asyncio.create_task(fill(flock, 300))
            await rebuild_view(flock.shard, Subjects())
            await filling
        await flock.view(Subjects).wait((await flock.append(seen(2))).positions)
    assert await verify_view(flock.shard, Subjects()) is None
    assert await rows_of(flock, Subjects) == await folded(flock, Subjects())
    assert [name for name in await list_views(flock.shard) if "~" in name] == []


async def test_who_was_overtaken_does_not_take_rows_for_its_own_that_another_has_folded(flock: Flock) -> None:
    await fill(flock, 60)
    (page,) = [entries async for entries in Log(flock.shard).pages()]
    slow, quick = Folder(flock.shard, Subjects()), Folder(flock.shard, Subjects())
    await slow.begin()
    await quick.begin()
    await quick.fold_page(page[:40])  # now the rows are as after these, and the slow one fetches them
    with pytest.raises(StaleCheckpoint):
        await slow.fold_page(page[:40])
    await slow.begin()
    await slow.fold_page(page[40:])
    assert await rows_of(flock, Subjects) == await folded(flock, Subjects())


class Undeclared(Projection[Seen]):
    def evolve(self, event: Event, rows: Rows[Seen]) -> None: ...


class Hurried(Projection[Seen]):
    name = "hurried"

    async def evolve(self, event: Event, rows: Rows[Seen]) -> None: ...  # type: ignore[override]  # that is the mistake


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        *[({"name": name}, "needs a name of 1 to 100 letters") for name in ("", "a b", "a/1", "a~b", "a\n", "x" * 101)],
        *[({"version": version}, "needs a whole number from 1 on as version") for version in (0, -1, 1.5, "2", True)],
        ({"on_poison": "Skip"}, 'has on_poison \'Skip\': "stop" or "skip"'),
    ],
)
def test_a_projection_that_would_break_keys_or_others_views_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        view_of([], type("Wrong", (Subjects,), wrong))


def test_a_projection_without_a_name_or_with_an_async_evolve_is_refused() -> None:
    with pytest.raises(SettingsError, match="projection Undeclared needs a name"):
        view_of([], Undeclared)
    with pytest.raises(SettingsError, match=re.escape("evolve() of projection hurried is async")):
        view_of([], Hurried)


async def test_one_that_is_stopped_tells_it_once_however_often_it_is_started(flock: Flock) -> None:
    await flock.append(seen(3, poison=True))
    view = flock.view(Fussy)
    for _ in range(3):
        with pytest.raises(ProjectionStopped):
            await view.catch_up()
    assert len(await view.failures()) == 1


async def test_a_view_that_is_dropped_while_nothing_happens_is_built_again_by_who_follows(flock: Flock) -> None:
    await fill(flock, 300)
    last = await flock.log.last()
    async with flock.follow(Subjects, lease=LEASE):
        await flock.view(Subjects).wait(last)
        assert await flock.drop_view("subjects", 1, live=True)
        await flock.view(Subjects).wait(last)
    assert await verify_view(flock.shard, Subjects()) is None


async def test_a_newer_version_that_is_read_in_one_shard_is_told_of_all(server_url: str, flock_name: str) -> None:
    class Newer(Pages):
        version = 2

    async with Flock.open(flock_name, server_url, shards=2) as flock:
        for number in range(20):
            await flock.append(seen(number))
        view = flock.view(Pages)
        await view.catch_up()
        (other,) = [
            shard for shard in await find_shards(flock.shard.client, flock_name, patience=LEASE) if shard.number
        ]
        folder = Folder(other, Newer())
        await fold_to(other, folder, await Log(other).last())
        assert await StoredView(other, "pages", 2).take() == 2
        with pytest.raises(ViewReplaced):
            await view.get("all")


async def test_half_of_a_character_is_no_key(flock: Flock) -> None:
    view = flock.view(Subjects)
    with pytest.raises(SettingsError, match="text that UTF-8 can write"):
        await view.get("\ud800")
    with pytest.raises(SettingsError, match="text that UTF-8 can write"):
        await view.count("a\udfff")
    with pytest.raises(SettingsError, match="text that UTF-8 can write"):
        [key async for key, _ in view.range("a", after="b\ud800")]
