"""Declared events: classes to data and back, old versions lifted, strange types carried along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from roost_tests.core import Core, happened

from roost.streams import DamagedEvent, Event, Position, SettingsError, UndeclaredEvent, decode, encode, event, upcast
from roost.streams.declaration import DECLARED, declaration_of


@pytest.fixture(autouse=True)
def leave_no_declaration() -> Iterator[None]:
    everything: list[dict[Any, Any]] = [DECLARED.by_name, DECLARED.by_class, DECLARED.upcasters]
    kept = [dict(each) for each in everything]
    yield
    for now, before in zip(everything, kept, strict=True):
        now.clear()
        now.update(before)


def stored(kind: str, body: bytes, schema: int = 1) -> Event:
    return Event(type=kind, subject="s", body=body, schema=schema)


async def test_a_payload_comes_back_from_the_log_as_its_class(core: Core) -> None:
    @event("leaf.found")
    @dataclass(frozen=True)
    class LeafFound:
        title: str
        words: int

    kind, schema, body = encode(LeafFound("Nests", 7))
    await core.append(Event(type=kind, subject="page/1", body=body, schema=schema))
    (read,) = await core.events()
    assert decode(read) == LeafFound("Nests", 7)


def test_models_are_payloads_too() -> None:
    @event("a.model")
    class AModel(BaseModel):
        n: int

    kind, schema, body = encode(AModel(n=1))
    assert decode(stored(kind, body, schema)) == AModel(n=1)


def test_old_versions_are_lifted_step_by_step() -> None:
    @event("size.told", version=3)
    @dataclass(frozen=True)
    class SizeTold:
        width_mm: int
        unit: str

    @upcast("size.told", 1)
    def to_two(data: dict[str, Any]) -> dict[str, Any]:
        return {"width_mm": data["width_cm"] * 10}

    @upcast("size.told", 2)
    def to_three(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "unit": "mm"}

    assert decode(stored("size.told", b'{"width_cm":4}', 1)) == SizeTold(40, "mm")
    assert decode(stored("size.told", b'{"width_mm":4}', 2)) == SizeTold(4, "mm")
    assert decode(stored("size.told", b'{"width_mm":4,"unit":"m"}', 3)) == SizeTold(4, "m")


def test_a_version_that_nothing_lifts_says_what_is_missing() -> None:
    @event("size.told", version=3)
    @dataclass
    class SizeTold:
        width: int

    @upcast("size.told", 1)
    def to_two(data: dict[str, Any]) -> dict[str, Any]:
        return data

    with pytest.raises(UndeclaredEvent, match=r"@upcast\('size.told', 2\)"):
        decode(stored("size.told", b'{"width":4}', 1))


def test_a_version_from_the_future_asks_for_a_newer_program() -> None:
    @event("size.told")
    @dataclass
    class SizeTold:
        width: int

    with pytest.raises(UndeclaredEvent, match="newer than this program's 1"):
        decode(stored("size.told", b'{"width":4}', 2))


async def test_an_unknown_type_is_carried_along_untouched(core: Core) -> None:
    body = b'{"b": 1,  "a": [null, 1.50]}'
    await core.append(happened(kind="from.another.program", body=body, schema=7))
    (read,) = await core.events()
    assert decode(read) == {"b": 1, "a": [None, 1.5]}
    assert (read.body, read.schema) == (body, 7)


def test_data_that_does_not_fit_its_class_is_refused_when_read() -> None:
    @event("n.told")
    @dataclass
    class NTold:
        n: int

    with pytest.raises(UndeclaredEvent, match="does not fit NTold: n "):
        decode(stored("n.told", b'{"n":"many"}'))


def test_data_that_does_not_fit_its_class_never_gets_into_the_log() -> None:
    @event("n.told")
    @dataclass
    class NTold:
        n: int

    with pytest.raises(UndeclaredEvent, match="does not fit its own class"):
        encode(NTold("many"))  # type: ignore[arg-type]  # what a careless caller does


def test_a_payload_that_was_never_declared_says_how_to_declare_it() -> None:
    with pytest.raises(UndeclaredEvent, match=r"decorate it with @event\('its.name'\)"):
        declaration_of(3)


@pytest.mark.parametrize("name", ["", "two words", "x" * 1025, "line\nbreak"])
def test_a_type_has_a_name_without_spaces(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot name an event type"):
        event(name)


def test_one_type_has_one_class() -> None:
    @event("n.told")
    @dataclass
    class First:
        n: int

    with pytest.raises(SettingsError, match="declared twice"):

        @event("n.told")
        @dataclass
        class Second:
            n: int


def test_a_module_that_is_loaded_again_declares_its_types_again() -> None:
    def load() -> type[Any]:
        @event("n.told")
        @dataclass
        class NTold:
            n: int

        return NTold

    load()
    newer = load()
    assert isinstance(decode(stored("n.told", b'{"n":1}')), newer)


@pytest.mark.parametrize(
    "fields",
    [
        {b"type": b"t", b"subject": b"s", b"ver": b"1", b"meta": b"{}", b"data": b"{}"},
        {b"type": b"t", b"subject": b"s", b"ver": b"one", b"meta": b'{"id":"i","time":1}', b"data": b"{}"},
        {b"type": b"t", b"subject": b"s", b"ver": b"1", b"meta": b"[1]", b"data": b"{}"},
        {b"type": b"t", b"subject": b"s", b"ver": b"1", b"meta": b"no json", b"data": b"{}"},
        {b"type": b"\xff", b"subject": b"s", b"ver": b"1", b"meta": b'{"id":"i","time":1}', b"data": b"{}"},
        {b"a": b"b"},
    ],
)
def test_an_entry_that_is_no_event_says_which(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(DamagedEvent, match="entry 5-0 is not an event"):
        Event.from_fields(Position(0, 5, 0), fields)
