"""Claims: one at a time for a key, for a while, and harmless when they come too late."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from roost_tests.core import ME, MINUTE, SOON, Core, claim_unit, happened, note_unit, one
from roost_tests.waiting import wait_until

from roost.streams import LimitExceeded, NoteRecord
from roost.streams.answer import Answer, Granted, Held, Present, Stale, Written
from roost.streams.notes import check_key
from roost.streams.unit import Unit


async def claim(core: Core, nonce: str, lease: timedelta = MINUTE, after: str = "-", key: str = "k") -> Answer:
    return await core.writer.write(claim_unit(key, nonce, lease, after, owner=f"owner of {nonce}"))


async def complete(
    core: Core, nonce: str, content: bytes = b"done", ttl: timedelta | None = None
) -> tuple[Answer, NoteRecord]:
    unit, record = note_unit(await core.notes.store(content), key="k", ttl=ttl, unit=Unit().complete("k", nonce))
    return await core.writer.write(unit), record


async def test_a_free_key_is_granted_and_the_claim_is_in_the_log(core: Core) -> None:
    assert isinstance(await claim(core, "n1"), Granted)
    assert await core.story() == [("work.claimed", "actor/me")]


async def test_of_many_who_claim_at_once_one_gets_it(core: Core) -> None:
    answers = await core.write(*[claim_unit("k", f"n{number}", owner=f"o{number}") for number in range(5)])
    assert [type(answer) for answer in answers] == [Granted, Held, Held, Held, Held]
    assert answers[1:] == [Held(60_000, "o0", "")] * 4
    assert len(await core.events()) == 1, "a refused claim is no event"


async def test_who_comes_later_is_told_who_holds_it_and_for_how_long(core: Core) -> None:
    await claim(core, "n1")
    held = await claim(core, "n2")
    assert isinstance(held, Held)
    assert held.owner == "owner of n1"
    assert 50_000 < held.lease_ms <= 60_000


async def test_the_same_nonce_gets_the_same_claim_again(core: Core) -> None:
    first = await claim(core, "n1")
    assert await claim(core, "n1") == first
    assert len(await core.events()) == 1


async def test_the_same_nonce_twice_in_one_call_is_one_claim(core: Core) -> None:
    first, second = await core.write(claim_unit("k", "n1"), claim_unit("k", "n1"))
    assert isinstance(first, Granted)
    assert second == first
    assert len(await core.events()) == 1


async def test_a_completion_writes_the_note_and_ends_the_claim(core: Core) -> None:
    await claim(core, "n1")
    answer, record = await complete(core, "n1")
    assert isinstance(answer, Written)
    assert await claim(core, "n2") == Present(record.id)
    found = await core.notes.find("k", ME)
    assert found is not None
    assert found.raw == b"done"


async def test_a_claim_in_the_same_call_as_the_completion_gets_its_note(core: Core) -> None:
    await claim(core, "n1")
    unit, record = note_unit(await core.notes.store(b"x"), key="k", unit=Unit().complete("k", "n1"))
    assert (await core.write(unit, claim_unit("k", "n2")))[1] == Present(record.id)


async def test_an_ended_claim_may_be_taken_by_another(core: Core) -> None:
    await claim(core, "n1", SOON)
    await wait_until(lambda: is_granted(core, "n2"))
    assert (await complete(core, "n1"))[0] == Stale(None)
    answer, record = await complete(core, "n2")
    assert isinstance(answer, Written)
    assert (await complete(core, "n1"))[0] == Stale(record.id), "the late one gets the present note"
    assert [kind for kind, _ in await core.story()].count("note.written") == 1


async def test_a_completion_whose_claim_has_ended_is_stale_even_if_nobody_took_it(core: Core) -> None:
    await claim(core, "n1", SOON)
    await wait_until(lambda: has_ended(core))
    assert (await complete(core, "n1"))[0] == Stale(None)


async def test_a_note_put_under_a_claimed_key_makes_the_completion_stale(core: Core) -> None:
    await claim(core, "n1")
    record = await core.put(b"by hand", key="k")
    assert (await complete(core, "n1"))[0] == Stale(record.id)
    assert await claim(core, "n2") == Present(record.id)


async def test_a_note_put_in_the_same_call_makes_the_completion_stale(core: Core) -> None:
    await claim(core, "n1")
    put, record = note_unit(await core.notes.store(b"by hand"), key="k")
    late, _ = note_unit(await core.notes.store(b"late"), key="k", unit=Unit().complete("k", "n1"))
    assert (await core.write(put, late))[1] == Stale(record.id)


async def test_a_completion_counts_once(core: Core) -> None:
    await claim(core, "n1")
    first, record = note_unit(await core.notes.store(b"x"), key="k", unit=Unit().complete("k", "n1"))
    second, _ = note_unit(await core.notes.store(b"x"), key="k", unit=Unit().complete("k", "n1"))
    answers = await core.write(first, second)
    assert isinstance(answers[0], Written)
    assert answers[1] == Stale(record.id)


async def test_a_claim_whose_event_is_about_its_own_key_can_be_completed(core: Core) -> None:
    unit = Unit().claim("k", "n1", MINUTE, "-", "me", happened("key/k", "work.claimed"))
    assert isinstance(await core.writer.write(unit), Granted)
    assert isinstance((await complete(core, "n1"))[0], Written)


async def test_the_notes_time_to_live_runs_from_the_claim(core: Core) -> None:
    granted = await claim(core, "n1")
    assert isinstance(granted, Granted)
    await wait_until(lambda: server_clock(core, granted.at_ms + 30))
    _, record = await complete(core, "n1", ttl=MINUTE)
    deadline = await core.connection.client.execute_command("ZSCORE", core.shard.keys.key("deadlines"), record.id)
    assert deadline == granted.at_ms + 60_000


async def test_work_that_took_longer_than_its_notes_time_to_live_is_not_served(core: Core) -> None:
    granted = await claim(core, "n1")
    assert isinstance(granted, Granted)
    await wait_until(lambda: server_clock(core, granted.at_ms + 30))
    assert isinstance((await complete(core, "n1", ttl=SOON))[0], Written)
    assert await core.notes.find("k", ME) is None
    assert isinstance(await claim(core, "n2"), Granted)


async def test_fresh_work_is_claimed_although_there_is_a_note(core: Core) -> None:
    record = await core.put(b"old", key="k")
    assert await claim(core, "n1") == Present(record.id)
    assert isinstance(await claim(core, "n1", after="*"), Granted)


async def test_who_wants_fresh_work_waits_for_it_and_takes_the_note_that_comes(core: Core) -> None:
    await core.put(b"old", key="k")
    await claim(core, "n1", after="*")
    held = await claim(core, "n2", after="*")
    assert isinstance(held, Held)
    assert held.entry == str((await core.log.subject("key/k"))[-1].position)
    assert isinstance(await claim(core, "n2", after=held.entry), Held), "the old note will not do"
    _, record = await complete(core, "n1", b"new")
    assert await claim(core, "n2", after=held.entry) == Present(record.id)


async def test_who_wants_fresh_work_claims_it_when_the_other_gave_up(core: Core) -> None:
    await core.put(b"old", key="k")
    await claim(core, "n1", after="*")
    held = await claim(core, "n2", after="*")
    assert isinstance(held, Held)
    await core.claims.release("k", "n1")
    assert isinstance(await claim(core, "n2", after=held.entry), Granted)


async def test_after_nothing_any_note_since_will_do(core: Core) -> None:
    await claim(core, "n1", after="*")
    held = await claim(core, "n2", after="*")
    assert isinstance(held, Held)
    assert held.entry == ""
    _, record = await complete(core, "n1")
    assert await claim(core, "n2", after="") == Present(record.id)


async def test_an_expired_note_does_not_keep_anyone_from_claiming(core: Core) -> None:
    await core.put(b"short", key="k", ttl=SOON)
    await wait_until(lambda: is_granted(core, "n1"))


async def test_a_claim_is_renewed_only_by_its_holder(core: Core) -> None:
    await claim(core, "n1", timedelta(seconds=2))
    assert await core.claims.renew([("k", "n2"), ("k", "n1"), ("other", "n1")], MINUTE) == [False, True, False]
    held = await claim(core, "n2")
    assert isinstance(held, Held)
    assert held.lease_ms > 50_000
    assert await core.claims.renew([], MINUTE) == []


async def test_a_claim_is_released_only_by_its_holder(core: Core) -> None:
    await claim(core, "n1")
    assert not await core.claims.release("k", "n2")
    assert isinstance(await claim(core, "n2"), Held)
    assert await core.claims.release("k", "n1")
    assert not await core.claims.release("k", "n1")
    assert isinstance(await claim(core, "n2"), Granted)


async def test_other_events_of_the_unit_are_written_however_the_claim_ends(core: Core) -> None:
    await core.write(claim_unit("k", "n1"), claim_unit("k", "n2", unit=one(happened("note/1", "note.read"))))
    assert await core.story() == [("work.claimed", "actor/me"), ("note.read", "note/1")]


async def test_a_claim_in_a_refused_unit_is_not_taken(core: Core) -> None:
    await core.writer.write(claim_unit("k", "n1", unit=Unit().expect("a", 5)))
    assert isinstance(await claim(core, "n2"), Granted)


async def test_events_and_claims_of_one_subject_in_one_call_count_on(core: Core) -> None:
    await core.write(one(happened("actor/me")), claim_unit("k", "n1"), one(happened("actor/me")).expect("actor/me", 2))
    assert [event.version for event in await core.log.subject("actor/me")] == [1, 2, 3]


async def test_those_who_listen_hear_of_a_note_and_of_a_release(core: Core) -> None:
    heard: list[bytes | None] = []
    await core.connection.pushes().subscribe(core.shard.keys.key("bell", "k"), heard.append)
    await claim(core, "n1")
    await core.claims.release("k", "n1")
    await wait_until(lambda: heard == [b"released"])
    record = await core.put(b"x", key="k")
    await wait_until(lambda: heard[1:] == [f"note {record.id}".encode()])


async def test_claims_of_many_keys_at_once_do_not_meet(core: Core) -> None:
    answers = await asyncio.gather(*[claim(core, f"n{number}", key=f"k{number}") for number in range(20)])
    assert all(isinstance(answer, Granted) for answer in answers)


@pytest.mark.parametrize("key", ["", "k" * 513, "é" * 257])
def test_a_key_has_a_bounded_length(key: str) -> None:
    with pytest.raises(LimitExceeded, match="1 to 512 bytes"):
        check_key(key)


async def is_granted(core: Core, nonce: str) -> bool:
    return isinstance(await claim(core, nonce), Granted)


async def has_ended(core: Core) -> bool:
    return not await core.connection.client.exists(core.shard.keys.key("claim", "k"))


async def server_clock(core: Core, past_ms: int) -> bool:
    seconds, micros = await core.connection.client.execute_command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000 > past_ms
