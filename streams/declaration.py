"""Typed events: a class is declared as an event's payload, and old versions of it are lifted when read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from .errors import SettingsError, UndeclaredEvent
from .event import MAX_NAME_BYTES, Event

T = TypeVar("T")
Data = dict[str, Any]
Upcaster = Callable[[Data], Data]


class Declaration:
    """What is known of an event type: its payload class, its present schema version, its subject."""

    def __init__(self, name: str, payload: type[Any], version: int, subject: Callable[[Any], str] | None) -> None:
        self.name = name
        self.payload = payload
        self.version = version
        self.subject = subject

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.payload)

    @cached_property
    def dump(self) -> Callable[..., bytes]:
        """As the adapter's `dump_json`, which takes longer to pass its options on than this to do the work."""
        return self.adapter.serializer.to_json


@dataclass(frozen=True, slots=True)
class Declarations:
    """The event types of this process. There is one: types are facts of a program, not of a flock."""

    by_name: dict[str, Declaration]
    by_class: dict[type[Any], Declaration]
    upcasters: dict[tuple[str, int], Upcaster]


DECLARED = Declarations({}, {}, {})


def event(name: str, *, version: int = 1, subject: Callable[[Any], str] | None = None) -> Callable[[type[T]], type[T]]:
    """Declare a class as the payload of the event type `name`, at this schema version.

    `subject` makes the event's subject from a payload; without it an event is about its run or its actor.
    The class is one that pydantic validates: a dataclass, a model.
    """
    if not name or len(name) > MAX_NAME_BYTES or any(c.isspace() for c in name):
        raise SettingsError(f"{name!r} cannot name an event type: use words joined by dots, like 'section.found'")

    def declare(payload: type[T]) -> type[T]:
        known = DECLARED.by_name.get(name)
        if known is not None and known.payload.__qualname__ != payload.__qualname__:
            raise SettingsError(f"event type {name!r} is declared twice: {known.payload!r} and {payload!r}")
        declaration = Declaration(name, payload, version, subject)
        DECLARED.by_name[name] = declaration
        DECLARED.by_class[payload] = declaration
        return payload

    return declare


def upcast(name: str, from_version: int) -> Callable[[Upcaster], Upcaster]:
    """Register how data of `from_version` becomes data of the version after it."""

    def register(lift: Upcaster) -> Upcaster:
        DECLARED.upcasters[name, from_version] = lift
        return lift

    return register


def declaration_of(payload: object) -> Declaration:
    """The declaration of a payload, or of a payload class. Raises UndeclaredEvent."""
    kind = payload if isinstance(payload, type) else type(payload)
    found = DECLARED.by_class.get(kind)
    if found is None:
        raise UndeclaredEvent(f"{kind.__name__} is not declared as an event: decorate it with @event('its.name')")
    return found


def encode(payload: object) -> tuple[str, int, bytes]:
    """Type, schema version and JSON body of a payload. Raises UndeclaredEvent, also for data that its class forbids."""
    declared = DECLARED.by_class.get(type(payload)) or declaration_of(payload)
    try:
        # An event is for ever: what its own class could not read again must not get into the log.
        return declared.name, declared.version, declared.dump(payload, warnings="error")
    except PydanticSerializationError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UndeclaredEvent(f"this {declared.payload.__name__} does not fit its own class: {reason}") from error


def decode(stored: Event) -> Any:
    """An event's payload as its declared class, lifted to the present version.

    A type that nobody declared here is answered as plain data, so that readers carry it along. Raises
    UndeclaredEvent when a version on the way has no upcaster, or the data does not fit the class.
    """
    declared = DECLARED.by_name.get(stored.type)
    if declared is None:
        return stored.data
    body = stored.body if stored.schema == declared.version else orjson.dumps(_lift(stored, declared))
    try:
        return declared.adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise UndeclaredEvent(
            f"event {stored.id} ({stored.type}, schema {stored.schema}) does not fit {declared.payload.__name__}: "
            f"{'.'.join(map(str, first['loc']))} {first['msg']}"
        ) from error


def _lift(stored: Event, declared: Declaration) -> Data:
    data: Data = stored.data
    if stored.schema > declared.version:
        raise UndeclaredEvent(
            f"event {stored.id} ({stored.type}) has schema {stored.schema}, newer than this program's "
            f"{declared.version}: update the program"
        )
    for version in range(stored.schema, declared.version):
        lift = DECLARED.upcasters.get((stored.type, version))
        if lift is None:
            raise UndeclaredEvent(
                f"no upcaster lifts {stored.type} from schema {version} to {version + 1}: "
                f"register one with @upcast({stored.type!r}, {version})"
            )
        data = lift(data)
    return data
