"""Records as events: CloudEvents in both modes, what they lack, and what nobody outside may tell."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.streams import Event
from roost.streams.kafka.ingest.cloudevent import OwnMirror, Refused, event_of
from roost.streams.kafka.ingest.record import Record
from roost.streams.kafka.ingest.reserved import is_reserved_subject, is_reserved_type

WIRE = (Path(__file__).resolve().parents[2] / "docs" / "wire.md").read_text("utf-8")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TIME_MS = 1_700_000_000_000
ATTRIBUTES = {
    "specversion": "1.0", "id": "7", "source": "/shop", "type": "order.placed", "subject": "order/7",
    "time": "2026-11-23T18:00:00.5Z",
}  # fmt: skip


def binary(value: bytes | None = b'{"number": 7}', key: bytes | None = None, **headers: str | None) -> Record:
    """A CloudEvent in binary mode; a header that is None is not there."""
    told: dict[str, str | None] = {f"ce_{name}": text for name, text in ATTRIBUTES.items()}
    told |= {"content-type": "application/json"}
    told |= {name.replace("content_type", "content-type"): text for name, text in headers.items()}
    return Record(
        2, 41, key, value, [(name, text.encode()) for name, text in told.items() if text is not None], TIME_MS
    )


def structured(**changed: Any) -> Record:
    whole = {**ATTRIBUTES, "data": {"number": 7}} | changed
    body = orjson.dumps({name: value for name, value in whole.items() if value is not ...})
    return Record(2, 41, None, body, [("content-type", b"application/cloudevents+json; charset=utf-8")], TIME_MS)


DEEP = b"[" * 300 + b"]" * 300


def taken(record: Record) -> Event:
    return event_of("owls", "orders", record)


def test_a_cloudevent_in_binary_mode_is_an_event_with_its_data_byte_for_byte() -> None:
    event = taken(binary(traceparent=TRACE))
    assert (event.type, event.subject, event.body, event.schema) == ("order.placed", "order/7", b'{"number": 7}', 1)
    assert (event.actor, event.run, event.cause, event.traceparent) == ("kafka/orders", None, None, TRACE)
    assert event.time_ms == 1_795_456_800_500


def test_both_modes_of_a_cloudevent_are_the_same_event() -> None:
    one, other = taken(binary()), taken(structured())
    assert (one.id, one.type, one.subject, one.data, one.time_ms) == (
        other.id, other.type, other.subject, other.data, other.time_ms,
    )  # fmt: skip
    encoded = structured(data=..., data_base64=b64encode(b'{"number": 7}').decode(), datacontenttype="text/json")
    assert taken(encoded).body == b'{"number": 7}'


def test_the_id_is_that_of_source_and_id_wherever_the_record_stands() -> None:
    again = event_of("owls", "other", Record(0, 3, None, b"[]", binary().headers))
    assert again.id == taken(binary()).id
    assert re.fullmatch("[0-9a-f]{24}", again.id)
    assert len({taken(each).id for each in (binary(), binary(ce_id="8"), binary(ce_source="/other"))}) == 3
    assert taken(binary(ce_type="order.sent")).id == again.id
    # One that lacks either is told by its place.
    lacking = taken(binary(ce_id=None))
    assert lacking.id == taken(binary(ce_source=None)).id != again.id
    assert lacking.id != event_of("owls", "orders", Record(2, 42, None, b"{}", binary(ce_id=None).headers)).id


@pytest.mark.parametrize(
    ("key", "subject"),
    [(b"7", "kafka/orders/7"), (None, "kafka/orders"), (b"", "kafka/orders"), (b"\xff", "kafka/orders")],
)
def test_what_names_no_subject_is_about_the_topic_and_its_key(key: bytes | None, subject: str) -> None:
    assert taken(binary(key=key, ce_subject=None)).subject == subject


def test_numbers_of_any_length_stay_what_they_are() -> None:
    for number in (2**64 - 1, 2**64, -(10**40)):
        body = b'{"type":"order.placed","data":{"number":%d,"price":1.25}}' % number
        assert taken(Record(0, 0, None, body, structured().headers)).body == b'{"number":%d,"price":1.25}' % number
        assert taken(binary(b"%d" % number)).body == b"%d" % number
    too_long = Record(0, 0, None, b'{"type":"a","data":%b}' % (b"9" * 5000), structured().headers)
    with pytest.raises(Refused, match="number is infinity"):
        taken(too_long)


def test_a_cloudevent_without_data_has_an_empty_object() -> None:
    for record in (binary(None), binary(b""), structured(data=...), structured(data=None)):
        assert taken(record).body == b"{}"


def test_data_may_be_any_json_and_needs_no_content_type() -> None:
    for value in (b"[1,2]", b'"text"', b"3", b"null", '{"ü":1}'.encode()):
        assert taken(binary(value, content_type=None)).body == value
    assert taken(binary(content_type="application/vnd.shop+json; v=2")).data == {"number": 7}


def test_a_time_that_is_none_is_the_records_and_a_trace_that_is_none_is_left_out() -> None:
    for text in (None, "yesterday", "0001-01-01T00:00:00Z"):
        assert taken(binary(ce_time=text)).time_ms == TIME_MS
    assert taken(binary(ce_time="2026-11-23T19:00:00.5+01:00")).time_ms == 1_795_456_800_500
    assert taken(binary(traceparent="00-a-b-01")).traceparent is None
    assert taken(binary(ce_traceparent=TRACE)).traceparent == taken(structured(traceparent=TRACE)).traceparent == TRACE


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (binary(b"not json"), "its data is no JSON"),
        (binary(b'"\xff"'), "its data is no JSON"),
        (binary(ce_type=None), "no CloudEvent: it has no type (the header ce_type)"),
        (Record(0, 0, b"k", b"anything"), "no CloudEvent: it has no type (the header ce_type)"),
        (Record(0, 0, b"k", None), "no CloudEvent: it has no type (the header ce_type)"),
        (binary(content_type="text/plain"), "data of the type text/plain is no JSON"),
        (binary(content_type="application/cloudevents-batch+json"), "is no single CloudEvent in JSON"),
        (binary(ce_specversion="0.3"), "CloudEvents of the version 0.3 are not known here"),
        (binary(ce_type="order placed"), "a type is words joined by dots, not 'order placed'"),
        (binary(ce_type="note.written"), "only Roost itself writes events of the type note.written"),
        (binary(ce_type="part.mapped"), "only Roost itself writes events of the type part.mapped"),
        (binary(ce_subject="effect/pay"), "only Roost itself writes events about effect/pay"),
        (binary(ce_subject="s" * 1025), "an event's type and subject have 1 to 1024 bytes"),
        (binary(b'"' + b"x" * 262_144 + b'"'), "order.placed has 262,146 bytes of data, over the bound of 262,144"),
        (binary(DEEP), "its data is nested too deeply"),
        (binary(b"[" * 3000 + b"]" * 3000), "its data is no JSON"),
        (Record(0, 0, None, b'{"data":%b}' % DEEP, structured().headers), "its data is nested too deeply"),
        (structured(type=...), "no CloudEvent: it has no type"),
        (structured(data="<a/>", datacontenttype="application/xml"), "data of the type application/xml is no JSON"),
        (structured(data=..., data_base64="%"), "its data_base64 is none"),
        (structured(data=..., data_base64=b64encode(b"<a/>").decode()), "its data is no JSON"),
        (Record(0, 0, None, b"[]", structured().headers), "no CloudEvent: its JSON is no object"),
        (Record(0, 0, None, b"{", structured().headers), "its data is no JSON"),
        (Record(0, 0, None, b"{}", [("ce_type", b"\xff")]), "the header ce_type is no text"),
        (binary(ce_type="note." + "x" * 900), "…"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_event_says_why_in_a_bounded_line(record: Record, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        taken(record)
    assert reason in str(refused.value)
    assert len(str(refused.value)) <= 200


def test_a_flock_does_not_take_in_what_it_mirrors() -> None:
    mirrored = binary(ce_source="/roost/owls/0")
    with pytest.raises(OwnMirror, match="would never end"):
        taken(mirrored)
    assert event_of("larks", "roost.owls", mirrored).type == "order.placed"


def test_every_type_that_roost_documents_is_its_own() -> None:
    rows = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \|", WIRE, re.MULTILINE)
    assert len(rows) > 40
    assert [kind for kind in rows if not is_reserved_type(kind)] == []
    assert not is_reserved_type("document.uploaded")
    assert not is_reserved_type("com.shop.note.written")


def test_every_subject_that_roost_writes_about_is_its_own() -> None:
    (row,) = re.findall(r"^\| `subject` \| what it is about: (.*) \|$", WIRE, re.MULTILINE)
    shown = re.findall(r"`([a-z]+/<[^`]+)`", row)
    assert len(shown) >= 7
    assert [subject for subject in shown if not is_reserved_subject(subject)] == []
    assert not is_reserved_subject("order/7")
    assert not is_reserved_subject("note")


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["ce_type", "ce_id", "ce_source", "ce_subject", "ce_time", "content-type", "traceparent", "x"]),
        st.none() | st.binary(max_size=20) | st.sampled_from([b"order.placed", b"application/json"]),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=30), HEADERS, st.integers(-1, 2**63 - 1))
def test_any_record_is_an_event_or_is_refused(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]], time_ms: int
) -> None:
    try:
        event = taken(Record(0, 0, key, value, headers, time_ms))
    except Refused:
        return
    assert event.to_fields()[1] == event.type.encode()
    orjson.loads(event.body)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.dictionaries(
    st.sampled_from([*ATTRIBUTES, "data", "data_base64", "datacontenttype", "traceparent"]), JSON, max_size=9
)


@settings(deadline=None)
@given(MEMBERS)
def test_any_structured_record_is_an_event_or_is_refused(members: dict[str, Any]) -> None:
    try:
        event = taken(Record(0, 0, None, json.dumps({"type": "order.placed"} | members).encode(), structured().headers))
    except (Refused, OwnMirror):
        return
    assert event.to_fields()[1] == event.type.encode()
    orjson.loads(event.body)
