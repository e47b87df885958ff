"""Units: what stands together, what a later one of the same call sees, and how large they may be."""

from __future__ import annotations

import pytest
from roost_tests.core import Core, happened, note_unit, one

from roost.streams import LimitExceeded, Position
from roost.streams.answer import BlobMissing, Conflicted, Written
from roost.streams.event import MAX_EVENT_BYTES, MAX_NAME_BYTES
from roost.streams.unit import INLINE_BYTES, MAX_UNIT_EVENTS, MAX_UNIT_PARTS, StoredContent, Unit


async def test_a_later_unit_of_a_call_sees_the_versions_that_an_earlier_one_makes(core: Core) -> None:
    answers = await core.write(
        one(happened("a")).expect("a", 0), one(happened("a")).expect("a", 0), one(happened("a")).expect("a", 1)
    )
    assert [type(answer) for answer in answers] == [Written, Conflicted, Written]
    assert answers[1] == Conflicted(1, None), "its last event has no place yet"
    assert [event.version for event in await core.events()] == [1, 2]


async def test_a_refused_unit_leaves_nothing_for_later_ones_to_see(core: Core) -> None:
    answers = await core.write(one(happened("a")).expect("b", 5), one(happened("a")).expect("a", 0))
    assert [type(answer) for answer in answers] == [Conflicted, Written]
    assert [event.version for event in await core.events()] == [1]


async def test_units_of_a_call_are_written_in_their_order(core: Core) -> None:
    await core.write(*[one(happened("a", body=str(number).encode())) for number in range(50)])
    events = await core.events()
    assert [event.data for event in events] == list(range(50))
    assert [event.version for event in events] == list(range(1, 51))


async def test_an_expected_position_tells_two_histories_of_one_length_apart(core: Core) -> None:
    appended = await core.append(happened("a"))
    right, wrong = appended.positions[0], Position(0, 5, 0)
    assert await core.writer.write(one(happened("a")).expect("a", 1, wrong)) == Conflicted(1, right)
    assert isinstance(await core.writer.write(one(happened("a")).expect("a", 1, right)), Written)


async def test_an_expected_position_is_refused_when_an_earlier_unit_of_the_call_moves_the_subject(core: Core) -> None:
    at = (await core.append(happened("a"))).positions[0]
    answers = await core.write(one(happened("a")), one(happened("a")).expect("a", 2, at))
    assert answers[1] == Conflicted(2, None)


async def test_each_event_names_the_one_before_it_across_units_and_calls(core: Core) -> None:
    await core.write(Unit().event(happened("a")).event(happened("a")), one(happened("b")), one(happened("a")))
    await core.append(happened("a"))
    entries = await core.shard.command("XRANGE", core.shard.keys.log, "-", "+")
    chain = [(entry, fields.get(b"prev")) for entry, fields in entries if fields[b"subject"] == b"a"]
    assert [previous for _, previous in chain] == [None, *[entry for entry, _ in chain[:-1]]]


async def test_several_expectations_must_all_hold(core: Core) -> None:
    await core.append(happened("a"))
    both = Unit().expect("a", 1).expect("b", 1).event(happened("c"))
    assert await core.writer.write(both) == Conflicted(0, None)
    assert await core.log.subject("c") == []


async def test_a_unit_without_events_is_written(core: Core) -> None:
    assert await core.writer.write(Unit().expect("a", 0)) == Written((), ())


async def test_a_note_is_refused_with_the_whole_unit_when_its_content_was_never_uploaded(core: Core) -> None:
    unit, record = note_unit(StoredContent("d" * 64, INLINE_BYTES + 1, None), unit=one(happened("a")))
    assert await core.writer.write(unit) == BlobMissing("d" * 64)
    assert await core.events() == []
    assert await core.notes.resolve(record.id) is None


async def test_content_that_an_earlier_unit_of_the_call_brings_is_there_for_a_later_one(core: Core) -> None:
    brought = await core.notes.store(b"shared")
    first, _ = note_unit(brought)
    second, _ = note_unit(StoredContent(brought.digest, brought.size, None))
    assert [type(answer) for answer in await core.write(first, second)] == [Written, Written]


async def test_a_unit_may_have_as_many_events_as_the_bound_and_no_more(core: Core) -> None:
    unit = Unit()
    for _ in range(MAX_UNIT_EVENTS):
        unit.event(happened())
    assert isinstance(await core.writer.write(unit), Written)
    unit.event(happened())
    with pytest.raises(LimitExceeded, match="257 events"):
        await core.writer.write(unit)
    assert await core.log.length() == MAX_UNIT_EVENTS


async def test_a_unit_may_not_be_larger_than_its_bound_in_bytes(core: Core) -> None:
    unit = Unit()
    for _ in range(5):
        unit.event(happened(body=b'"' + b"x" * (MAX_EVENT_BYTES - 1000) + b'"'))
    with pytest.raises(LimitExceeded, match="split them"):
        await core.writer.write(unit)


async def test_a_unit_may_not_have_more_parts_than_its_bound(core: Core) -> None:
    unit = Unit()
    for _ in range(MAX_UNIT_PARTS + 1):
        unit.expect("a", 0)
    with pytest.raises(LimitExceeded):
        await core.writer.write(unit)


async def test_the_largest_events_of_one_call_are_written_and_read(core: Core) -> None:
    body = b'"' + b"x" * (MAX_EVENT_BYTES - 500) + b'"'
    await core.write(*[one(happened(body=body)) for _ in range(9)])
    assert [len(event.body) for event in await core.events()] == [len(body)] * 9


def test_an_event_larger_than_its_bound_is_refused_at_once() -> None:
    with pytest.raises(LimitExceeded, match="put the content into a note"):
        Unit().event(happened(body=b"x" * MAX_EVENT_BYTES))


@pytest.mark.parametrize("name", ["", "x" * (MAX_NAME_BYTES + 1), "é" * (MAX_NAME_BYTES // 2 + 1)])
def test_an_event_needs_a_type_and_a_subject_of_a_bounded_length(name: str) -> None:
    with pytest.raises(LimitExceeded, match="1 to 1024 bytes"):
        Unit().event(happened(name))
    with pytest.raises(LimitExceeded, match="1 to 1024 bytes"):
        Unit().event(happened(kind=name))


async def test_names_and_data_may_hold_any_text(core: Core) -> None:
    subject, body = 'a "b"\n c, d ü 🐦 \x00', '{"t":"\\u0000 ü 🐦, \\n"}'.encode()
    await core.append(happened(subject, "it's, odd", body))
    await core.append(happened(subject, "it's, odd", body))
    assert [(event.type, event.subject, event.body) for event in await core.log.subject(subject)] == [
        ("it's, odd", subject, body)
    ] * 2
