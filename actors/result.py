"""The result of a shared function: kept as a note's content, given back as what the function is annotated to answer."""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from types import SimpleNamespace
from typing import Any, Generic, NewType, TypeVar, cast

import orjson
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from roost.streams import Note, RoostError

from .work import Computed

R = TypeVar("R")

LOSSLESS = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")
WAITED_FOR = (collections.abc.Awaitable, collections.abc.Coroutine)


class UnfitResult(RoostError, TypeError):
    """What a shared function answered is not what it says it answers, or is nothing that a note can hold."""


@dataclass(frozen=True, slots=True)
class Result(Generic[R]):
    """Results of one function. Without an adapter they come back as JSON knows them."""

    function: str
    kind: Any = Any
    adapter: TypeAdapter[R] | None = None

    @classmethod
    def of(cls, function: Callable[..., Any], name: str) -> Result[Any]:
        """By the function's annotation. Raises NameError while that names what is not defined yet, UnfitResult when
        pydantic cannot tell how to keep it."""
        kind = _returned(function)
        if kind is Any or kind is Computed:
            return cls(name)
        try:
            return cls(name, kind, adapter_of(kind))
        except PydanticUserError as error:
            raise UnfitResult(
                f"{name} answers {_shown(kind)}, which cannot be kept: answer text, bytes, what JSON holds, "
                f"a dataclass or a pydantic model ({_line(error)})"
            ) from error

    def pack(self, value: Any) -> Any:
        """The content of the note. Raises UnfitResult."""
        if isinstance(value, Computed):
            return Computed(self.pack(value.content), value.work, value.sources, value.tags)
        if type(value) is str or isinstance(value, bytes | bytearray | memoryview):
            return cast(Any, value)
        if self.adapter is None:
            return value  # told by `put` when it is not JSON
        try:
            raw = self.adapter.dump_json(value, warnings="error")
            self.adapter.validate_json(raw)  # what cannot be read again must not be kept
            return orjson.Fragment(raw)
        except (PydanticSerializationError, UnicodeEncodeError, ValidationError) as error:
            raise UnfitResult(
                f"{self.function} says that it answers {_shown(self.kind)}, and answered {type(value).__name__}: "
                f"{_line(error)}"
            ) from error

    def unpack(self, note: Note) -> R:
        """The result that a note holds. Raises UnfitResult when it was kept by a function of another result."""
        if self.adapter is None or note.record.form != "json":
            return cast(R, note.content)
        try:
            return self.adapter.validate_json(note.raw)
        except ValidationError as error:
            raise UnfitResult(
                f"the note {note.id} holds no {_shown(self.kind)}, as {self.function} answers now: raise its version "
                f"({_line(error)})"
            ) from error


def adapter_of(kind: Any) -> TypeAdapter[Any]:
    """Models say themselves how they are written. To plain dataclasses it can be said only under another name."""
    try:
        return TypeAdapter(cast(Any, NewType)(kind.__name__, kind) if _is_plain(kind) else kind, config=LOSSLESS)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(kind)


def _is_plain(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind) and not hasattr(kind, "__pydantic_config__")


def _returned(function: Callable[..., Any]) -> Any:
    """What the function is annotated to answer, once it is waited for; Any where nothing says so."""
    inner = function if hasattr(function, "__annotations__") else type(function).__call__
    inner = getattr(inner, "__wrapped__", inner)
    noted = getattr(inner, "__annotations__", {})
    if "return" not in noted:
        return Any
    names = dict(getattr(inner, "__globals__", {}))
    code, cells = getattr(inner, "__code__", None), getattr(inner, "__closure__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), cells or (), strict=False):
        try:  # a class of the function around it
            names[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    answer = SimpleNamespace(__annotations__={"return": noted["return"]})
    kind = typing.get_type_hints(answer, names, names, include_extras=True)["return"]
    if typing.get_origin(kind) in WAITED_FOR:
        kind = typing.get_args(kind)[-1]
    return Any if isinstance(kind, TypeVar) else kind


def _shown(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
