"""Seals: whatever is done to a sealed log behind Roost's back is found, named, and told from the rest."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from roost_tests.core import Core, happened
from roost_tests.shared_server import plain_client

from roost.streams import SettingsError
from roost.streams.archive.archivist import Archivist
from roost.streams.archive.store import Store
from roost.streams.seals import sealer as sealing
from roost.streams.seals.book import Book, lines_in, read_book
from roost.streams.seals.chain import Source
from roost.streams.seals.checking import check_seals
from roost.streams.seals.faults import SealingBusy, SealsBroken
from roost.streams.seals.finding import Checked
from roost.streams.seals.key import Trusted, make_key, public_path, read_key, read_trusted
from roost.streams.seals.seal import Seal
from roost.streams.seals.sealer import Sealer
from roost.streams.seals.tally import Tally
from roost.streams.trimming import trim

Entries = list[tuple[bytes, list[bytes]]]
Tamper = Callable[["Tampering", Entries], Awaitable[None]]


class Tampering:
    """Who has a Redis client, and bad intentions."""

    def __init__(self, client: Any, log: str) -> None:
        self._client = client
        self.log = log

    async def __call__(self, *words: Any) -> Any:
        return await self._client.execute_command(*words)

    async def entries(self) -> Entries:
        found = await self("XRANGE", self.log, "-", "+")
        return [(entry, [part for pair in fields.items() for part in pair]) for entry, fields in found]

    async def rebuild(self, entries: Entries) -> None:
        """The stream anew, with the same last ID and counters as it had: nothing of its own tells."""
        last = (await self("XINFO", "STREAM", self.log))[b"last-generated-id"]
        await self("DEL", self.log)
        for entry, fields in entries:
            await self("XADD", self.log, entry, *fields)
        await self("XSETID", self.log, last)


@pytest.fixture
async def tamper(core: Core, server_url: str, flock_name: str) -> Any:
    client = plain_client(server_url, flock_name)
    yield Tampering(client, core.shard.keys.log)
    await client.aclose()


@pytest.fixture
def sealer(core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sealer:
    """With ranges of ten events."""
    monkeypatch.setattr(sealing, "RANGE", 10)
    make_key(tmp_path / "key", "ed25519")
    key = read_key(tmp_path / "key")
    return Sealer(core.shard, Book(tmp_path, core.shard.keys.flock, 0), key, Trusted([key]))


async def check(sealer: Sealer, *more: Source) -> Checked:
    book = Source("the book", read_book(sealer.book.path) or b"", is_book=True)
    public = read_trusted(public_path(sealer.book.path.parents[2] / "key"))
    return await check_seals(sealer.shard, [book, *more], Trusted([public]))


async def kinds(sealer: Sealer, *more: Source) -> list[tuple[int | None, str]]:
    return [(one.seal, one.kind) for one in (await check(sealer, *more)).findings]


async def sealed(core: Core, sealer: Sealer, events: int = 35) -> list[Seal]:
    await core.append(*[happened(f"thing/{number % 5}", body=b'{"n":%d}' % number) for number in range(events)])
    await sealer.round()
    return [seal for _, seal in lines_in(read_book(sealer.book.path) or b"") if isinstance(seal, Seal)]


async def test_a_log_that_nobody_touched_is_as_it_was_sealed(core: Core, sealer: Sealer) -> None:
    seals = await sealed(core, sealer)
    assert [seal.events for seal in seals] == [10, 10, 10, 5]
    found = await check(sealer)
    assert (found.findings, found.seals, found.events, found.unsealed, found.head) == ([], 4, 35, 0, 4)
    await core.append(happened("late"))
    found = await check(sealer)
    assert (found.findings, found.unsealed, found.unsealed_since) == ([], 1, str(await core.log.last()))
    assert (await sealer.round()).events == 5  # those four events that told of seals, too
    found = await check(sealer)
    assert (found.findings, found.events, found.unsealed) == ([], 40, 0)


async def test_an_idle_log_is_not_sealed_for_its_seals(core: Core, sealer: Sealer) -> None:
    await sealed(core, sealer)
    length = await core.log.length()
    assert (await sealer.round()).seals == 0
    assert await core.log.length() == length


async def change(tamper: Tampering, entries: Entries) -> None:
    entries[12][1][9] = b'{"n":99}'
    await tamper.rebuild(entries)


async def remove(tamper: Tampering, entries: Entries) -> None:
    await tamper("XDEL", tamper.log, entries[12][0])


async def reorder(tamper: Tampering, entries: Entries) -> None:
    entries[12], entries[14] = (entries[12][0], entries[14][1]), (entries[14][0], entries[12][1])
    await tamper.rebuild(entries)


async def cut_off(tamper: Tampering, entries: Entries) -> None:
    for entry, _ in entries[12:]:
        await tamper("XDEL", tamper.log, entry)


async def cut_off_and_hidden(tamper: Tampering, entries: Entries) -> None:
    await tamper("DEL", tamper.log)
    for entry, fields in entries[:12]:
        await tamper("XADD", tamper.log, entry, *fields)
    await tamper("XSETID", tamper.log, entries[11][0], "ENTRIESADDED", 12)


async def add_a_field_twice(tamper: Tampering, entries: Entries) -> None:
    entries[12][1][:0] = [b"type", b"thing.forged"]
    await tamper.rebuild(entries)


async def turn_fields_round(tamper: Tampering, entries: Entries) -> None:
    fields = entries[12][1]
    entries[12][1][:4] = [*fields[2:4], *fields[:2]]
    await tamper.rebuild(entries)


async def move_bytes_over(tamper: Tampering, entries: Entries) -> None:
    fields = entries[12][1]
    fields[0], fields[1] = fields[0] + fields[1][:1], fields[1][1:]
    await tamper.rebuild(entries)


async def trim_the_oldest(tamper: Tampering, entries: Entries) -> None:
    await tamper("XTRIM", tamper.log, "MAXLEN", len(entries) - 12)


@pytest.mark.parametrize(
    ("tampering", "expected"),
    [
        (change, [(2, "changed")]),
        (remove, [(2, "removed")]),
        (reorder, [(2, "reordered")]),
        (cut_off, [(2, "cut off"), (3, "cut off"), (4, "cut off")]),
        (cut_off_and_hidden, [(2, "cut off"), (3, "cut off"), (4, "cut off")]),
        # A cluster's client gives of a field that stands twice the last one, as whoever reads the log is given it.
        pytest.param(add_a_field_twice, [(2, "changed")], marks=pytest.mark.one_server),
        (turn_fields_round, [(2, "changed")]),
        (move_bytes_over, [(2, "changed")]),
        (trim_the_oldest, [(1, "removed"), (2, "removed")]),
    ],
)
async def test_tampering_is_found_and_its_range_named(
    core: Core, sealer: Sealer, tamper: Tampering, tampering: Tamper, expected: list[tuple[int, str]]
) -> None:
    seals = await sealed(core, sealer)
    await tampering(tamper, await tamper.entries())
    found = await check(sealer)
    in_ranges = [one for one in found.findings if one.first is not None]
    assert [(one.seal, one.kind) for one in in_ranges] == expected
    assert (in_ranges[0].first, in_ranges[0].last) == (seals[expected[0][0] - 1].first, seals[expected[0][0] - 1].last)


async def test_an_event_that_was_put_in_is_found(core: Core, sealer: Sealer, tamper: Tampering) -> None:
    await core.append(*[happened(f"thing/{number}") for number in range(5)])
    (last, fields) = (await tamper.entries())[-1]
    ms, _, seq = last.partition(b"-")
    await tamper("XADD", tamper.log, b"%d-%d" % (int(ms) + 1, int(seq) + 7), *fields)  # a gap, to put one into
    await sealer.round()
    entries = await tamper.entries()
    forged = (b"%d-%d" % (int(ms) + 1, int(seq) + 5), fields)
    await tamper.rebuild([*entries[:5], forged, *entries[5:]])
    assert await kinds(sealer) == [(1, "inserted")]
    await tamper.rebuild([*entries[:4], forged, *entries[5:]])
    (found,) = (await check(sealer)).findings
    assert (found.kind, found.what) == (
        "reordered",
        "the same 6 events are there, but not in their order, under other IDs",
    )
    await tamper.rebuild([*entries[:3], entries[4], forged, *entries[5:]])
    (found,) = (await check(sealer)).findings
    assert (found.kind, found.what) == ("changed", "of 6 events some were removed, and as many others put in")


async def test_an_event_under_the_id_of_one_that_was_deleted_is_found(
    core: Core, sealer: Sealer, tamper: Tampering
) -> None:
    await sealed(core, sealer, 5)
    entries = await tamper.entries()
    for entry, _ in entries[4:]:
        await tamper("XDEL", tamper.log, entry)
    await tamper("DEL", tamper.log)
    for entry, fields in entries[:4]:
        await tamper("XADD", tamper.log, entry, *fields)
    await tamper("XADD", tamper.log, entries[4][0], *entries[4][1][:-1], b'{"n":"forged"}')
    await tamper("XADD", tamper.log, entries[5][0], *entries[5][1])
    assert await kinds(sealer) == [(1, "changed")]


async def test_what_tells_of_the_last_seal_cannot_be_cut_off_either(
    core: Core, sealer: Sealer, tamper: Tampering
) -> None:
    await sealed(core, sealer, 5)
    await tamper("XDEL", tamper.log, (await tamper.entries())[-1][0])
    assert await kinds(sealer) == [(1, "cut off")]
    with pytest.raises(SealsBroken, match="has lost its end, or is another log"):
        await sealer.round()
    await sealer.round(anew=True)
    found = await check(sealer)
    assert (found.findings, found.skipped, found.events) == ([], 1, 5)


async def test_a_log_that_is_gone_is_cut_off(core: Core, sealer: Sealer, tamper: Tampering) -> None:
    await sealed(core, sealer, 5)
    await tamper("DEL", tamper.log)
    assert (1, "cut off") in await kinds(sealer)


async def test_a_false_horizon_hides_nothing(core: Core, sealer: Sealer, tamper: Tampering) -> None:
    await sealed(core, sealer)
    entries = await tamper.entries()
    await tamper("XTRIM", tamper.log, "MAXLEN", len(entries) - 12)
    await tamper("HSET", core.shard.keys.key("meta"), "horizon", entries[11][0])
    assert (None, "unreadable") in await kinds(sealer)


async def test_a_trimmed_log_is_read_on_in_its_archive(core: Core, sealer: Sealer, tmp_path: Path) -> None:
    seals = await sealed(core, sealer)
    entries = await core.events()
    middle = entries[24].position
    assert middle is not None
    async with Archivist(core.shard, Store(str(tmp_path / "archive"))).leading() as archivist:
        await archivist.archive(middle)
        await archivist.write_state(middle, [])
    await trim(core.shard, middle)
    found = await check(sealer)
    assert (found.findings, found.seals, found.events) == ([], len(seals), 35)
    await core.append(happened("later"))
    assert (await sealer.round()).seals == 1
    assert (await check(sealer)).findings == []
    (segment,) = (tmp_path / "archive").rglob("*--*.jsonl.zst")
    segment.write_bytes(segment.read_bytes()[:-1])
    assert (None, "unreadable") in await kinds(sealer)


async def test_a_seal_that_was_changed_or_removed_is_found(core: Core, sealer: Sealer) -> None:
    await sealed(core, sealer)
    path = sealer.book.path
    lines = path.read_bytes().splitlines(keepends=True)
    exported = Source("the export", b"".join(lines), is_book=False)
    path.write_bytes(b"".join([lines[0], *lines[2:]]))
    assert (2, "seal removed") in await kinds(sealer)
    path.write_bytes(b"".join(lines[:-1]))
    assert (4, "seal removed") in await kinds(sealer)
    assert (4, "seal removed") in await kinds(sealer, exported)
    path.write_bytes(b"".join(lines).replace(b'"events":5', b'"events":6'))
    assert (4, "seal changed") in await kinds(sealer, exported)
    path.write_bytes(b"".join([*lines[:2], lines[3], lines[2]]))
    assert (3, "seal changed") in await kinds(sealer, exported)
    path.unlink()
    assert (1, "seal removed") in await kinds(sealer, exported)
    path.write_bytes(b"".join(lines))
    assert await kinds(sealer, exported) == []


async def test_a_log_cut_off_with_its_seals_is_found_by_what_was_exported(
    core: Core, sealer: Sealer, tamper: Tampering
) -> None:
    await sealed(core, sealer, 5)
    before, entries = sealer.book.path.read_bytes(), await tamper.entries()
    await sealed(core, sealer, 5)
    exported = Source("the export", sealer.book.path.read_bytes(), is_book=False)
    sealer.book.path.write_bytes(before)
    for entry, _ in (await tamper.entries())[len(entries) :]:
        await tamper("XDEL", tamper.log, entry)
    assert await kinds(sealer) == []
    found = await kinds(sealer, exported)
    assert (2, "cut off") in found
    assert (2, "seal removed") in found


async def test_a_chain_signed_by_another_key_is_found(core: Core, sealer: Sealer, tmp_path: Path) -> None:
    seals = await sealed(core, sealer, 5)
    make_key(tmp_path / "other", "ed25519")
    forged = read_key(tmp_path / "other").sign(replace(seals[0], digest="0" * 64))
    sealer.book.path.write_bytes(forged.to_json() + b"\n")
    assert (1, "other key") in await kinds(sealer)
    under_its_name = replace(forged, key=seals[0].key)
    sealer.book.path.write_bytes(under_its_name.to_json() + b"\n")
    assert (1, "seal changed") in await kinds(sealer)


async def test_a_seal_that_only_the_log_has_is_written_down_by_the_next_round(
    core: Core, sealer: Sealer, tmp_path: Path
) -> None:
    await sealed(core, sealer)
    path = sealer.book.path
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    await sealer.round()
    assert path.read_bytes() == whole
    path.unlink()
    await sealer.round()
    assert path.read_bytes() == whole


async def test_only_one_seals_at_a_time(core: Core, sealer: Sealer, tmp_path: Path) -> None:
    await core.append(happened())
    key = read_key(tmp_path / "key")
    other = Sealer(core.shard, Book(tmp_path / "elsewhere", core.shard.keys.flock, 0), key, Trusted([key]))
    async with other._leading():  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(SealingBusy, match="another process is sealing"):
            await sealer.round()
    await sealer.round()
    assert (await other.round()).seals == 0  # it has taken over what the log tells
    assert other.book.path.read_bytes() == sealer.book.path.read_bytes()


async def test_hmac_needs_nothing_installed_and_finds_the_same(core: Core, tmp_path: Path, tamper: Tampering) -> None:
    make_key(tmp_path / "secret", "hmac-sha256")
    key = read_key(tmp_path / "secret")
    sealer = Sealer(core.shard, Book(tmp_path, core.shard.keys.flock, 0), key, Trusted([key]))
    await sealed(core, sealer, 5)
    book = Source("the book", sealer.book.path.read_bytes(), is_book=True)
    assert (await check_seals(core.shard, [book], Trusted([key]))).findings == []
    entries = await tamper.entries()
    await tamper("XDEL", tamper.log, entries[2][0])
    assert [one.kind for one in (await check_seals(core.shard, [book], Trusted([key]))).findings] == ["removed"]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    for algorithm in ("ed25519", "hmac-sha256"):
        path = tmp_path / algorithm
        make_key(path, algorithm)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        kept = path.read_bytes()
        make_key(path, algorithm)  # never in the place of one that is there
        assert path.read_bytes() == kept
        os.chmod(path, 0o640)
        with pytest.raises(SettingsError, match="can be read by other users"):
            read_key(path)


PARTS = st.lists(st.binary(max_size=6), min_size=2, max_size=6).filter(lambda parts: len(parts) % 2 == 0)
LOG = st.lists(PARTS, min_size=1, max_size=5)


def tallied(log: list[list[bytes]]) -> str:
    tally = Tally()
    for number, fields in enumerate(log):
        tally.add(b"%d-0" % number, fields)
    return tally.digest


@settings(deadline=None, max_examples=300)
@given(LOG, LOG)
def test_two_logs_come_to_the_same_only_if_they_are_the_same(one: list[list[bytes]], other: list[list[bytes]]) -> None:
    assert (tallied(one) == tallied(other)) == (one == other)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_any_bit_of_a_log_that_is_turned_is_found(data: st.DataObject) -> None:
    log = data.draw(LOG.filter(lambda log: any(part for fields in log for part in fields)))
    places = [(e, p, b) for e, fields in enumerate(log) for p, part in enumerate(fields) for b in range(len(part))]
    entry, part, byte = data.draw(st.sampled_from(places))
    changed = [list(fields) for fields in log]
    turned = bytearray(changed[entry][part])
    turned[byte] ^= 1 << data.draw(st.integers(0, 7))
    changed[entry][part] = bytes(turned)
    assert tallied(changed) != tallied(log)


def test_any_bit_of_a_seal_that_is_turned_is_found(tmp_path: Path) -> None:
    make_key(tmp_path / "key", "ed25519")
    key = read_key(tmp_path / "key")
    seal = key.sign(
        Seal(
            flock="owls", shard=0, number=1, epoch="1", after="0-0", first="1-0", last="2-0", events=2, passed=2,
            digest="a" * 64, ids="b" * 64, fields="c" * 64, before="", time=1,
        )
    )  # fmt: skip
    line = seal.to_json()
    for place in range(8 * len(line)):
        turned = bytearray(line)
        turned[place // 8] ^= 1 << place % 8
        for _, read in lines_in(bytes(turned)):
            assert not isinstance(read, Seal) or Trusted([key]).fault(read) is not None
