"""Limits of agents: how many notes one may keep, counted from what lives, by the script that writes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.core import ME, MINUTE, SOON, Core, claim_unit, make_core, note_unit
from roost_tests.waiting import wait_until

from roost.streams import AgentLimitExceeded, AgentLimits, Connection, SettingsError
from roost.streams.agent_limits import Held, count_notes, limit_agent, limits_of_agents, read_held
from roost.streams.answer import Written


async def limit(core: Core, agent: str = "me", **limits: Any) -> None:
    await limit_agent([core.shard], agent, AgentLimits(**limits) if limits else None, ME)


async def held(core: Core, agent: str = "me") -> Held:
    counted, whole = await read_held([core.shard])
    assert whole
    return counted.get(agent, Held())


async def test_an_agent_without_limits_is_not_counted(core: Core) -> None:
    await core.put(b"one")
    assert await read_held([core.shard]) == ({}, True)


async def test_the_last_place_is_given_once_and_the_error_tells_what_to_do(core: Core) -> None:
    await limit(core, notes=2)
    await core.put(b"one")
    await core.put(b"three")
    with pytest.raises(AgentLimitExceeded, match=r"agent me may keep 2 notes and has 2: 1 more .* --agent me --notes"):
        await core.put(b"five")
    assert await held(core) == Held(2, 8)
    assert [kind for kind, _ in await core.story()] == ["agent.limited", "note.written", "note.written"]


async def test_two_processes_race_for_the_last_places(connection: Connection, core: Core) -> None:
    await limit(core, notes=20)
    other = await make_core(connection, core.shard.keys.flock)

    async def put(one: Core, number: int) -> bool:
        try:
            await one.put(b"%d" % number)
        except AgentLimitExceeded:
            return False
        return True

    written = await asyncio.gather(*[put(one, number) for number in range(30) for one in (core, other)])
    await other.writer.close()
    assert sum(written) == (await held(core)).notes == 20


async def test_units_of_one_call_see_what_those_before_them_take(core: Core) -> None:
    await limit(core, notes=3)
    units = [note_unit(await core.notes.store(b"%d" % number))[0] for number in range(5)]
    answers = await asyncio.gather(*[core.writer.write(unit) for unit in units], return_exceptions=True)
    assert [isinstance(answer, Written) for answer in answers] == [True] * 3 + [False] * 2


async def test_a_unit_with_several_notes_stands_or_falls(core: Core) -> None:
    await limit(core, notes=3)
    for count, fits in ((4, False), (3, True)):
        unit = None
        for number in range(count):
            unit, _ = note_unit(await core.notes.store(b"%d" % number), unit=unit)
        assert unit is not None
        if fits:
            assert isinstance(await core.writer.write(unit), Written)
        else:
            with pytest.raises(AgentLimitExceeded):
                await core.writer.write(unit)
        assert (await held(core)).notes == (3 if fits else 0)


async def test_bytes_are_limited_as_notes_are(core: Core) -> None:
    await limit(core, bytes=10)
    await core.put(b"x" * 7)
    with pytest.raises(AgentLimitExceeded, match=r"may keep 10 bytes of notes and has 7: 4 more"):
        await core.put(b"y" * 4)
    await core.put(b"y" * 3)
    await core.put(b"")
    assert await held(core) == Held(3, 10)


async def test_forgotten_and_expired_notes_give_their_places_back(core: Core) -> None:
    await limit(core, notes=2)
    record = await core.put(b"one")
    await core.put(b"two", ttl=SOON)
    await core.notes.forget(record.id, ME)
    await wait_until(lambda: core.notes.expire())
    assert await held(core) == Held()
    await core.put(b"three")
    await core.put(b"four")
    with pytest.raises(AgentLimitExceeded):
        await core.put(b"five")


async def test_what_was_there_before_the_limit_counts_and_stays(core: Core) -> None:
    records = [await core.put(b"%d" % number) for number in range(5)]
    await limit(core, notes=3)
    assert await held(core) == Held(5, 5)
    with pytest.raises(AgentLimitExceeded, match="may keep 3 notes and has 5"):
        await core.put(b"six")
    for record in records[:3]:
        await core.notes.forget(record.id, ME)
    await core.put(b"six")
    assert (await held(core)).notes == 3


async def test_a_count_that_was_cut_off_is_gone_on_with_by_whoever_comes(core: Core) -> None:
    for number in range(250):
        await core.put(b"%d" % number)
    await limit(core, notes=300)
    counted = core.shard.keys.key("counted")
    await core.shard.command("DEL", counted)
    await core.shard.command("HSET", counted, " count", "anew", " counting", "anew")
    assert (await read_held([core.shard]))[1] is False
    cursor = await core.shard.run("count_notes", b"")
    assert cursor.startswith(b"anew ")
    await core.put(b"meanwhile")
    await asyncio.gather(count_notes(core.shard), count_notes(core.shard))
    assert (await held(core)).notes == 251


async def test_limits_that_are_taken_away_cost_nothing_and_are_counted_anew(core: Core) -> None:
    await limit(core, notes=5)
    first = await core.put(b"one")
    await limit(core)
    assert limits_of_agents(core.shard) == {}
    assert await core.shard.command("EXISTS", core.shard.keys.key("counted"), core.shard.keys.key("allowed")) == 0
    await core.put(b"two")
    await limit(core, notes=2)
    assert await held(core) == Held(2, 6)
    await core.notes.forget(first.id, ME)
    assert await held(core) == Held(1, 3)


async def test_each_stands_for_agents_without_limits_of_their_own(core: Core) -> None:
    await limit(core, "*", notes=1)
    await limit(core, "somebody", notes=9)
    await core.put(b"one")
    with pytest.raises(AgentLimitExceeded, match="agent me may keep 1 note and has 1"):
        await core.put(b"two")
    await limit(core, requests_per_minute=60)  # of its own: those of each are not its
    await core.put(b"two")
    assert (await held(core)).notes == 2, "others are limited"
    await limit(core, "*")
    await limit(core, "somebody")
    assert await core.shard.command("EXISTS", core.shard.keys.key("counted")) == 0
    assert limits_of_agents(core.shard) == {"me": AgentLimits(requests_per_minute=60)}


async def test_a_note_written_again_takes_one_place(core: Core) -> None:
    await limit(core, notes=1, bytes=6)
    unit, record = note_unit(await core.notes.store(b"first"))
    again = list(unit.args)
    await core.writer.write(unit)
    unit.args = again
    assert isinstance(await core.writer.write(unit), Written)
    assert await held(core) == Held(1, 5)
    await core.notes.forget(record.id, ME)
    assert await held(core) == Held()


async def test_an_agent_that_may_keep_nothing_more_gets_no_claim(core: Core) -> None:
    await limit(core, notes=1)
    await core.put(b"one")
    with pytest.raises(AgentLimitExceeded):
        await core.writer.write(claim_unit("k", "nonce"))
    assert await core.shard.command("EXISTS", core.shard.keys.key("claim", "k")) == 0


async def test_the_first_answer_to_a_refused_call_is_the_answer_to_its_repeat(core: Core) -> None:
    await limit(core, notes=1)
    await core.put(b"one")
    unit, _ = note_unit(await core.notes.store(b"two"))
    for _ in range(2):
        assert await core.write_raw("p", 1, unit) == [b"ok", b"limited notes 1 1 1 me"]


async def test_what_limits_nothing_or_cannot_is_refused(core: Core) -> None:
    for wrong in (0, -1, 2**53 + 1, True, 1.5, "7"):
        with pytest.raises(SettingsError, match="a whole number"):
            AgentLimits(notes=wrong)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="limit nothing"):
        AgentLimits()
    with pytest.raises(SettingsError, match="milliseconds"):
        AgentLimits(notes=1, window=timedelta(0))
    for name in ("", "a\nb", "x" * 129, "ü" * 65):
        with pytest.raises(SettingsError, match="names no agent"):
            await limit_agent([core.shard], name, AgentLimits(notes=1), ME)
    await limit(core, "nobody yet", notes=2**53, bytes=2**53)
    assert limits_of_agents(core.shard) == {"nobody yet": AgentLimits(notes=2**53, bytes=2**53)}


async def test_setting_is_told_once_and_the_same_again_is_no_news(core: Core) -> None:
    await limit(core, notes=5, window=MINUTE * 2)
    await limit(core, notes=5, window=MINUTE * 2)
    await limit(core)
    await limit(core)
    told = [(event.type, event.subject, event.actor, event.data) for event in await core.events()]
    assert told == [
        ("agent.limited", "actor/me", "me", {"agent": "me", "limits": {"notes": 5, "window_ms": 120_000}}),
        ("agent.limited", "actor/me", "me", {"agent": "me", "limits": None}),
    ]


async def test_other_processes_learn_of_limits_before_their_next_append(connection: Connection, core: Core) -> None:
    other = await make_core(connection, core.shard.keys.flock)
    await limit(core, notes=1)
    await other.put(b"one")
    assert limits_of_agents(other.shard) == {"me": AgentLimits(notes=1)}
    await other.writer.close()


@pytest.mark.parametrize(
    "record", [b"not JSON", b"[]", b"null", b'{"author":null}', b'{"author":7}', b'{"author": ""}', b"\xff\xfe", b""]
)
async def test_a_note_of_nobody_is_anyones(core: Core, record: bytes) -> None:
    await limit(core, "*", notes=1)
    unit, _ = note_unit(await core.notes.store(b"x"))
    unit.args[-4] = record
    assert isinstance(await core.writer.write(unit), Written)
    assert await held(core, "anyone") == Held(1, 1)
    second, _ = note_unit(await core.notes.store(b"y"))
    second.args[-4] = record
    with pytest.raises(AgentLimitExceeded, match="agent anyone"):
        await core.writer.write(second)


@pytest.mark.parametrize("author", ['a "quoted" one', "back\\slash", "line\nfeed", "ünï çode", " spaces ", "a b c"])
async def test_agents_with_strange_names_are_counted_as_any(core: Core, author: str) -> None:
    await limit(core, "*", notes=1)
    unit, _ = note_unit(await core.notes.store(b"x"))
    import orjson

    unit.args[-4] = orjson.dumps({"author": author})
    assert isinstance(await core.writer.write(unit), Written)
    assert await held(core, author) == Held(1, 1)
    again, _ = note_unit(await core.notes.store(b"y"))
    again.args[-4] = orjson.dumps({"author": author})
    with pytest.raises(AgentLimitExceeded):
        await core.writer.write(again)


async def test_a_size_that_is_no_number_counts_as_nothing(core: Core) -> None:
    await limit(core, notes=9, bytes=9)
    for size in (b"x", b"-5", b"1e9", b"nan", b"9" * 40, b""):
        unit, record = note_unit(await core.notes.store(b"x"))
        unit.args[-6] = size
        assert isinstance(await core.writer.write(unit), Written)
        assert await held(core) == Held(1, 0)
        await core.notes.forget(record.id, ME)
        assert await held(core) == Held()
