"""Values as keys hold them: plain JSON, the same for equal values in every process, and another for all others."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

import orjson
from pydantic import BaseModel

from roost.streams import Note

MAX_DEPTH = 50
KIND = "$kind"
"""The member by which what is not JSON's own is told from a mapping."""


class Unfit(TypeError):
    """No part of a key can be made of a value of this type."""


def canonical(value: Any) -> Any:
    """`value` as plain JSON. Equal values of one kind are the same; a text and a path of the same letters are not.

    Text, bytes, numbers, None, lists (a tuple is one), mappings, sets, dates and times, durations, UUIDs, paths,
    members of enums, dataclasses and pydantic models (by their class and fields), and notes (by their ID). Raises
    Unfit for anything else, with its type.
    """
    return _canonical(value, 0)


def _canonical(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Unfit(f"what goes over {MAX_DEPTH} levels deep")
    match value:
        case Enum():  # before text and numbers: its member may be one of these, too
            return _kind(name_of(type(value)), value.name)
        case str():
            return value if _is_unicode(value) else _kind("surrogates", value.encode("utf-8", "surrogatepass").hex())
        case None | bool():
            return value
        case int():
            return int(value) if -(2**63) <= value < 2**64 else _kind("int", f"{value:x}")
        case float():
            return float(value) if math.isfinite(value) else _kind("float", str(float(value)))
        case list() | tuple():
            return [_canonical(each, depth + 1) for each in cast("Iterable[Any]", value)]
        case Mapping():
            return _mapping(cast(Any, value), depth)
        case _:
            return _special(value, depth)


def _special(value: Any, depth: int) -> Any:
    match value:
        case bytes() | bytearray() | memoryview():
            return _kind("bytes", sha256(cast("bytes", value)).hexdigest())
        case Set():
            return _kind("set", _sorted(_canonical(each, depth + 1) for each in cast("Iterable[Any]", value)))
        case datetime() | date() | time():
            return _kind(type(value).__name__, value.isoformat())
        case timedelta():
            return _kind("timedelta", [value.days, value.seconds, value.microseconds])
        case Decimal() | UUID() | PurePath():
            return _kind("path" if isinstance(value, PurePath) else type(value).__name__, str(value))
        case Note():
            return _kind("note", value.id)
        case BaseModel():  # its fields, and what it was given besides
            return _kind(name_of(type(value)), _mapping(dict(value), depth))
        case _ if is_dataclass(value) and not isinstance(value, type):
            compared = {each.name: getattr(value, each.name) for each in fields(value) if each.compare}
            return _kind(name_of(type(value)), _mapping(compared, depth))
        case _:
            raise Unfit(type(value).__name__)


def _mapping(value: Mapping[Any, Any], depth: int) -> Any:
    if all(type(name) is str and name != KIND and _is_unicode(name) for name in value):
        return {name: _canonical(each, depth + 1) for name, each in value.items()}
    pairs = ([_canonical(name, depth + 1), _canonical(each, depth + 1)] for name, each in value.items())
    return _kind("mapping", _sorted(pairs))


def _kind(kind: str, value: Any) -> dict[str, Any]:
    return {KIND: [kind, value]}


def _sorted(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=lambda value: orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def name_of(thing: Any) -> str:
    """A function's or class's full name. A script's is that of its file, as if another program had imported it."""
    return f"{_module_of(thing.__module__)}.{thing.__qualname__}"


def _module_of(name: str) -> str:
    if name != "__main__":
        return name
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    return spec.name if spec is not None else PurePath(file).stem if file else name


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
