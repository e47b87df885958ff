"""Labels of trust: a note may be believed no further than what it was made from, and readers may ask for more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Actor, Computed, Context, Flock, Work, on
from roost.actors.scope import MAX_SOURCES, Scope
from roost.projections.rebuild import rebuild
from roost.projections.verify import verify
from roost.streams import LimitExceeded, Note, NoteRecord, NotTrusted, Reader, SettingsError, event
from roost.streams.encryption.file_ring import FileRing

RUN = "run-of-the-test"
Join = Callable[..., Awaitable[Flock]]


@event("test.page_came")
@dataclass(frozen=True, slots=True)
class PageCame:
    note: str
    other: str = ""


async def handle(flock: Flock, actor: Actor, came: PageCame) -> None:
    async with flock.work(actor, run=RUN):
        await flock.append(came, run=RUN)

        async def ended() -> bool:
            return bool(await events_of(flock, "delivery.handled", "delivery.parked"))

        await wait_until(ended)
    assert not await events_of(flock, "delivery.parked")


async def label_of(flock: Flock, key: str) -> tuple[str, bool]:
    note = await flock.memory.find(key)
    assert note is not None
    return note.trust, note.record.vouched


async def test_a_note_is_unchecked_until_somebody_says_more(flock: Flock, join: Join) -> None:
    plain = await flock.memory.put("plain", sources=())
    page = await flock.memory.put("a page", trust="untrusted", sources=())
    manual = await flock.memory.put("a manual", trust="trusted", sources=())
    assert [each.trust for each in (plain, page, manual)] == ["unchecked", "untrusted", "trusted"]
    other = await join()
    assert [(await other.memory.get(each.id)).trust for each in (plain, page, manual)] == [
        "unchecked", "untrusted", "trusted",
    ]  # fmt: skip
    written = [each.data for each in await events_of(flock, "note.written")]
    assert [each.get("trust") for each in written] == [None, "untrusted", "trusted"]
    assert "vouched" not in written[2]


async def test_the_label_of_a_note_is_the_lowest_of_its_own_and_those_of_its_sources(flock: Flock) -> None:
    page, plain, manual = [
        await flock.memory.put(label, trust=label, sources=()) for label in ("untrusted", "unchecked", "trusted")
    ]

    async def made(own: Any, *sources: Note) -> str:
        return (await flock.memory.put("made", trust=own, sources=[each.id for each in sources])).trust

    assert await made("trusted", manual) == "trusted"
    assert await made("trusted", manual, plain) == "unchecked"
    assert await made("trusted", manual, plain, page) == "untrusted"
    assert await made("untrusted", manual) == "untrusted"
    assert await made(None, manual) == "unchecked"


async def test_a_source_that_nobody_can_look_at_any_more_counts_as_the_lowest(flock: Flock, join: Join) -> None:
    gone = await flock.memory.put("gone", trust="trusted", sources=())
    brief = await flock.memory.put("brief", trust="trusted", sources=(), ttl=timedelta(milliseconds=1))
    await flock.memory.forget(gone.id)

    async def expired() -> bool:
        return bool(await events_of(flock, "note.expired"))

    await wait_until(expired)
    other = await join()
    for source in (gone.id, brief.id, "never-was", "\n \x00é"):
        assert (await other.memory.put("made", trust="trusted", sources=[source])).trust == "untrusted"


async def test_labels_go_on_with_what_was_read_or_computed(flock: Flock, join: Join) -> None:
    page = await flock.memory.put("a page", trust="untrusted", sources=())

    async def shorten() -> str:
        return (await other.memory.get(page.id)).text[:3]

    other = await join(agent="other")
    short = await other.memory.once("short", shorten, trust="trusted")
    assert (short.trust, short.sources) == ("untrusted", (page.id,))
    third = await join(agent="third")
    assert (await third.memory.once("short", shorten)).trust == "untrusted"
    assert (await third.memory.put("by what was read")).trust == "untrusted"
    aside = await other.memory.once("aside", lambda: asyncio.sleep(0, Computed("x", Work(), (page.id,))))
    assert aside.trust == "untrusted"


async def test_without_single_flight_labels_go_on_as_well(join: Join) -> None:
    flock = await join(sharing="cache")
    page = await flock.memory.put("a page", trust="untrusted", sources=())
    made = await flock.memory.once("k", lambda: asyncio.sleep(0, Computed("x", Work(), (page.id,))), trust="trusted")
    assert made.trust == "untrusted"


async def test_only_who_vouches_raises_a_label_and_the_record_tells(flock: Flock, join: Join) -> None:
    page = await flock.memory.put("a page", trust="untrusted", sources=())
    checked = await flock.memory.put("checked", key="checked", sources=[page.id], trust="trusted", vouched=True)
    once = await flock.memory.once(
        "once", lambda: asyncio.sleep(0, Computed("x", Work(), (page.id,))), trust="unchecked", vouched=True
    )
    assert [(each.trust, each.record.vouched) for each in (checked, once)] == [("trusted", True), ("unchecked", True)]
    assert [(each.actor, each.data.get("vouched")) for each in await events_of(flock, "note.written")] == [
        ("main", None), ("main", True), ("main", True),
    ]  # fmt: skip
    other = await join()
    assert (await other.memory.get(checked.id, trust="trusted", verified=True)).record == checked.record
    assert (await other.memory.put("made", sources=[checked.id], trust="trusted")).trust == "trusted"


async def test_a_reader_may_ask_for_a_label_and_what_is_lower_is_refused(flock: Flock, join: Join) -> None:
    page = await flock.memory.put("a page", key="page", trust="untrusted", sources=())
    plain = await flock.memory.put("plain", key="plain", sources=())
    other = await join(agent="other")
    for _ in range(2):  # from the server, then from the process's cache
        with pytest.raises(NotTrusted, match="is untrusted, and was asked for as unchecked") as refused:
            await other.memory.get(page.id, trust="unchecked")
        assert (refused.value.note_id, refused.value.trust, refused.value.required) == (
            page.id, "untrusted", "unchecked",
        )  # fmt: skip
        await other.memory.get(plain.id)
        with pytest.raises(NotTrusted):
            await other.memory.get(plain.id, trust="trusted")
    with pytest.raises(NotTrusted):
        await other.memory.find("page", trust="trusted")
    with pytest.raises(NotTrusted):
        await other.memory.get_all([plain.id, page.id], trust="unchecked")
    assert await other.memory.find("nothing", trust="trusted") is None
    assert (await other.memory.get(page.id, trust="untrusted")).text == "a page"
    [one] = await other.memory.get_all([plain.id], trust="unchecked")
    assert one.text == "plain"


async def test_what_was_refused_is_no_source_and_its_read_is_logged(flock: Flock, join: Join) -> None:
    page = await flock.memory.put("a page", key="page", trust="untrusted", sources=())
    other = await join(agent="other")
    with pytest.raises(NotTrusted):
        await other.memory.get(page.id, trust="unchecked")
    with pytest.raises(NotTrusted):
        await other.memory.find("page", trust="unchecked")
    made = await other.memory.put("without it", trust="trusted")
    assert (made.sources, made.trust) == ((), "trusted")
    assert [each.actor for each in await events_of(flock, "note.read")] == ["other", "other"]


async def test_what_a_handler_has_read_lowers_its_notes_and_its_drafts_hand_on_theirs(flock: Flock) -> None:
    page = await flock.memory.put("a page", trust="untrusted", sources=())
    manual = await flock.memory.put("a manual", trust="trusted", sources=())

    class Clerk(Actor):
        @on(PageCame)
        async def read(self, came: PageCame, ctx: Context[Any]) -> None:
            await ctx.memory.get(came.other, trust="trusted")
            await ctx.memory.put("before", key="before", trust="trusted")
            with pytest.raises(NotTrusted):
                await ctx.memory.get(came.note, trust="unchecked")
            await ctx.memory.put("refused", key="refused", trust="trusted")
            await ctx.memory.get(came.note)
            draft = await ctx.memory.put("after", key="after", trust="trusted")
            with pytest.raises(NotTrusted):
                await ctx.memory.get(draft.id, trust="unchecked")
            with pytest.raises(NotTrusted):
                await ctx.memory.find("after", trust="trusted")
            await ctx.memory.put("of a draft", key="of a draft", sources=[draft.id], trust="trusted")
            await ctx.memory.put("of none", key="of none", sources=(), trust="trusted")
            await ctx.memory.put("vouched", key="vouched", trust="trusted", vouched=True)
            await ctx.memory.once("once", lambda: asyncio.sleep(0, "x"), trust="trusted")

    await handle(flock, Clerk(), PageCame(page.id, manual.id))
    keys = ("before", "refused", "after", "of a draft", "of none", "vouched", "once")
    assert {key: await label_of(flock, key) for key in keys} == {
        "before": ("trusted", False), "refused": ("trusted", False), "after": ("untrusted", False),
        "of a draft": ("untrusted", False), "of none": ("trusted", False), "vouched": ("trusted", True),
        "once": ("untrusted", False),
    }  # fmt: skip
    found = await flock.replay(RUN).check(Clerk())
    assert not found.divergences, found


async def test_a_replay_tells_when_a_label_has_changed(flock: Flock) -> None:
    manual = await flock.memory.put("a manual", trust="trusted", sources=())
    label: Any = "trusted"

    class Clerk(Actor):
        @on(PageCame)
        async def read(self, came: PageCame, ctx: Context[Any]) -> None:
            await ctx.memory.get(came.note)
            await ctx.memory.put("made", trust=label)

    await handle(flock, Clerk(), PageCame(manual.id))
    assert not (await flock.replay(RUN).check(Clerk())).divergences
    label = "untrusted"
    [differs] = (await flock.replay(RUN).check(Clerk())).divergences
    assert "trust" in str(differs)


async def test_a_handler_s_label_counts_what_it_has_read_long_ago(flock: Flock) -> None:
    scope = Scope(Reader("a"), flock.shard)
    scope.remember(Note(record=NoteRecord(id="low", trust="untrusted"), raw=b""))
    for number in range(MAX_SOURCES):
        scope.remember(Note(record=NoteRecord(id=str(number), trust="trusted"), raw=b""))
    assert "low" not in scope.sources
    assert (scope.trust_before, scope.inner("k").trust_before) == ("untrusted", "untrusted")


async def test_the_lowest_label_counts_across_shards_and_in_encrypted_flocks(join: Join, tmp_path: Path) -> None:
    flock = await join(shards=3, encrypted=True, keys=FileRing(tmp_path / "keys"))
    page = await flock.memory.put("a page", trust="untrusted", about=["ada"], sources=())
    others = [await flock.memory.put(str(n), sources=[page.id], trust="trusted") for n in range(6)]
    assert {each.trust for each in others} == {"untrusted"}
    with pytest.raises(NotTrusted):
        await flock.memory.get(others[0].id, trust="trusted")
    with pytest.raises(NotTrusted):
        await flock.memory.get_all([each.id for each in others], trust="unchecked")


async def test_the_same_labels_come_of_the_log_again(flock: Flock, join: Join) -> None:
    page = await flock.memory.put("a page", trust="untrusted", sources=(), ttl=None)
    await flock.memory.put("checked", key="checked", sources=[page.id], trust="trusted", vouched=True)
    await flock.memory.put("made", key="made", sources=[page.id])
    assert (await verify([flock.shard], content=True)).count == 0
    await rebuild(flock.shard)
    assert (await verify([flock.shard], content=True)).count == 0
    other = await join()
    assert await label_of(other, "checked") == ("trusted", True)
    assert await label_of(other, "made") == ("untrusted", False)
    past = await flock.at(await flock.log.last())
    then = await past.find("made")
    assert then is not None
    assert then.record.trust == "untrusted"


async def test_a_search_tells_the_label_of_what_it_has_found(flock: Flock) -> None:
    await flock.memory.put("owls hunt at night", trust="untrusted", sources=())
    [hit] = await flock.memory.search("owls")
    assert hit.trust == "untrusted"


@pytest.mark.parametrize("label", ["", "gold", "TRUSTED", "trusted ", 3, True, ["trusted"], "x" * 100_000, "é\x00"])
async def test_what_is_no_label_is_refused_in_a_line(flock: Flock, label: Any) -> None:
    before = await flock.log.last()
    acts: list[Callable[[], Awaitable[Any]]] = [
        lambda: flock.memory.put("x", trust=label),
        lambda: flock.memory.once("k", lambda: asyncio.sleep(0, "x"), trust=label),
        lambda: flock.memory.get("n", trust=label),
        lambda: flock.memory.find("k", trust=label),
    ]
    for act in acts:
        with pytest.raises(SettingsError, match=r"trust= is one of untrusted, unchecked, trusted: not") as refused:
            await act()
        assert len(str(refused.value)) < 300
    assert await flock.log.last() == before


async def test_to_vouch_for_no_label_is_refused(flock: Flock) -> None:
    with pytest.raises(SettingsError, match="say which one by trust="):
        await flock.memory.put("x", vouched=True)
    with pytest.raises(LimitExceeded, match="sources"):
        await flock.memory.put("x", sources=[str(n) for n in range(20_000)])


async def test_a_label_that_nobody_knows_is_the_lowest() -> None:
    for odd in ("gold", 7, None, ["trusted"], {"trusted": 1}):
        assert NoteRecord.from_data({"note": "n", "digest": "", "size": 0, "trust": odd}).trust == "untrusted"
    old = NoteRecord.from_data({"note": "n", "digest": "", "size": 0})
    assert (old.trust, old.vouched) == ("unchecked", False)
    assert set(json.loads(old.to_json())) == {"note", "digest", "size", "written"}
