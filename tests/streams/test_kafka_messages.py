"""Events, contents and places as messages: whatever stood in the log comes back byte for byte."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.streams import Event, Position
from roost.streams.kafka.chunk import CHUNK_BYTES, Chunk, chunk_in, chunks_of, count_of, tombstones_of
from roost.streams.kafka.message import NotMirrored, message_of, mirrored_of
from roost.streams.kafka.place import Place, Void, is_void

ENTRY = b"1700000000000-3"
NAMES = st.text(min_size=1, max_size=20)
META = st.fixed_dictionaries(
    {"id": NAMES, "time": st.integers(0, 4 * 10**12)},
    optional={
        "schema": st.integers(2, 99), "actor": NAMES, "run": NAMES, "cause": NAMES, "traceparent": NAMES,
        "strange": NAMES,
    },
)  # fmt: skip
RAW = st.dictionaries(st.binary(max_size=12), st.binary(max_size=40), max_size=6)


def spoiled(raw: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """An event with fields of others in it."""
    return stored() | raw


def stored(**changed: bytes) -> dict[bytes, bytes]:
    event = Event(
        type="tea.made", subject="pot/1", body=b'{"cups":2}', actor="cook", run="r1", time_ms=1_700_000_000_123
    )
    subject, kind, meta, data = event.to_fields()
    fields = {b"type": kind, b"subject": subject, b"ver": b"4", b"meta": meta, b"data": data}
    return fields | {name.encode(): value for name, value in changed.items()}


def there_and_back(fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
    message = message_of("tea", 2, 5, ENTRY, fields)
    back = mirrored_of(message.key, message.value, message.headers)
    assert (back.shard, back.entry, back.epoch) == (2, ENTRY, 5)
    return back.fields


def test_an_event_is_a_cloud_event_in_binary_mode() -> None:
    fields = stored(prev=b"1-1")
    message = message_of("tea", 0, 1, ENTRY, fields)
    meta = orjson.loads(fields[b"meta"])
    assert message.key == b"pot/1"
    assert message.value == b'{"cups":2}'
    assert message.time_ms == 1_700_000_000_000
    assert dict(message.headers) == {
        "ce_specversion": b"1.0", "ce_id": meta["id"].encode(), "ce_source": b"/roost/tea/0", "ce_type": b"tea.made",
        "ce_subject": b"pot/1", "ce_time": b"2023-11-14T22:13:20.123Z", "ce_version": b"4", "ce_position": ENTRY,
        "ce_shard": b"0", "ce_epoch": b"1", "ce_actor": b"cook", "ce_run": b"r1", "content-type": b"application/json",
    }  # fmt: skip


def test_what_stands_in_the_log_comes_back_without_its_predecessor() -> None:
    fields = stored()
    assert there_and_back(fields | {b"prev": b"1-1"}) == fields


@settings(deadline=None, max_examples=150)
@given(meta=META, data=st.binary(max_size=60), ver=st.integers(1, 10**15))
def test_any_event_comes_back_byte_for_byte(meta: dict[str, Any], data: bytes, ver: int) -> None:
    fields = stored(meta=orjson.dumps(meta), data=data, ver=str(ver).encode())
    assert there_and_back(fields) == fields


@settings(deadline=None, max_examples=150)
@given(fields=st.one_of(RAW, RAW.map(spoiled)))
def test_any_entry_that_is_no_event_of_ours_comes_back_too(fields: dict[bytes, bytes]) -> None:
    assert there_and_back(fields) == fields


@pytest.mark.parametrize(
    "changed",
    [
        {"meta": b'{"id": "spaced", "time": 1}'},
        {"meta": b"no JSON"},
        {"meta": b'{"id":5,"time":1}'},
        {"meta": b'{"id":"x","time":1.5}'},
        {"meta": b'{"id":"x","time":99999999999999999999}'},
        {"meta": b'{"id":"x","time":true}'},
        {"meta": b"[]"},
        {"ver": b"04"},
        {"ver": b"many"},
        {"type": b"\xff\xfe"},
        {"subject": b"\x00\xff"},
        {"data": b""},
    ],
)
def test_strange_fields_come_back_as_they_were(changed: dict[str, bytes]) -> None:
    fields = stored(**changed)
    assert there_and_back(fields) == fields


@pytest.mark.parametrize("name", ["ce_position", "ce_shard", "ce_epoch", "ce_type", "ce_id", "ce_time"])
def test_a_message_of_others_is_refused(name: str) -> None:
    message = message_of("tea", 0, 1, ENTRY, stored())
    told = [(header, value) for header, value in message.headers if header != name]
    with pytest.raises(NotMirrored):
        mirrored_of(message.key, message.value, told)
    with pytest.raises(NotMirrored):
        mirrored_of(message.key, message.value, [*told, (name, b"\xff")])


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_a_content_travels_in_chunks_and_its_tombstones_take_them_all(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    digest = hashlib.sha256(content).hexdigest()
    messages = list(chunks_of(3, digest, content))
    chunks = [chunk_in(one.key, one.value, one.headers) for one in messages]
    assert b"".join(chunk.value or b"" for chunk in chunks) == content
    assert [(chunk.shard, chunk.number, chunk.size, chunk.chunks) for chunk in chunks] == [
        (3, number, size, len(chunks)) for number in range(count_of(size))
    ]
    gone = list(tombstones_of(3, digest, size))
    assert [one.key for one in gone] == [one.key for one in messages]
    assert [chunk_in(one.key, one.value, one.headers) for one in gone] == [
        Chunk(3, digest, number, None, 0, 0) for number in range(len(chunks))
    ]


@pytest.mark.parametrize(
    "key", [None, b"", b"0/x/1", b"a" * 64, b"0/" + b"\xff" * 64 + b"/0", b"0/" + b"a" * 64 + b"/x", b"a" * 64 + b"/1"]
)
def test_a_message_that_is_no_part_of_a_content_is_refused(key: bytes | None) -> None:
    with pytest.raises(NotMirrored):
        chunk_in(key, b"x", [("size", b"1"), ("chunks", b"1")])


def test_a_place_comes_back_as_it_was_written() -> None:
    place = Place(
        1, 2, "17-3", "id", "99", 3, 1000, "disk", ("note.*",), (Void(2, "0-0"), Void(3, "16-0")), 9, "ab" * 8
    )
    assert Place.parse(place.to_json()) == place
    assert place.at == Position(1, 17, 3)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b'{"shard":"x"}'])
def test_a_place_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(NotMirrored):
        Place.parse(text)


def test_what_a_server_had_lost_does_not_count_from_the_next_mirror_on() -> None:
    voids = (Void(2, "100-0"), Void(3, "150-0"))
    at = [Position(0, 50, 0), Position(0, 120, 0), Position(0, 160, 0)]
    assert [is_void(voids, 1, one) for one in at] == [False, True, True]
    assert [is_void(voids, 2, one) for one in at] == [False, False, True]
    assert [is_void(voids, 3, one) for one in at] == [False, False, False]
