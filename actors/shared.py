"""Shared functions: an async function whose equal calls are carried out once, by one of all who make them."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from roost.streams import Note

from .canonical import Unfit, canonical, name_of
from .current import current_flock
from .label import label_of_call
from .memory import COMPUTE_LIMIT, FLOCK_DEFAULT, Memory, Ttl, fingerprint
from .result import Result

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")

FUNCTION_LIKE = ("__code__", "__defaults__", "__kwdefaults__")
"""What `inspect` looks for in a callable that is no function, to tell whether it is asynchronous."""


class Sharer(Protocol):
    """What `shared(…)` answers: a decorator."""

    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Shared[P, R]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the calls of a function are shared; see `Flock.shared`."""

    version: int | str = 1
    ttl: Ttl = FLOCK_DEFAULT
    limit: timedelta = COMPUTE_LIMIT
    tags: tuple[str, ...] = ()
    key: Callable[..., Any] | None = None
    ignore: frozenset[str] = frozenset()
    name: str | None = None
    label: Callable[..., str] | str | None = None
    sample: int | None = None

    @classmethod
    def of(cls, *, ignore: Iterable[str] = (), tags: Iterable[str] = (), **others: Any) -> Terms:
        """From what a program has given. Raises TypeError."""
        for name, given in (("ignore", ignore), ("tags", tags)):
            if isinstance(given, str):
                raise TypeError(f"{name} is a list of words, not one text: {name}=[{given!r}]")
        return cls(ignore=frozenset(ignore), tags=tuple(tags), **others)


class Shared(Generic[P, R]):
    """A function that is shared. Called, it gives what the function gives, computed here or by somebody else."""

    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[P, Awaitable[R]], memory: Callable[[], Memory], terms: Terms) -> None:
        function, self._bound = _unbound(function)
        functools.update_wrapper(self, function)
        for attribute in FUNCTION_LIKE:
            if hasattr(function, attribute):
                setattr(self, attribute, getattr(function, attribute))
        if sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(self)
        self._function = function
        self._memory = memory
        self._terms = terms
        self._signature = inspect.signature(function)
        self._short_name, self._name = _names(function, terms)
        unknown = terms.ignore - set(self._signature.parameters)
        if unknown:
            raise TypeError(f"ignore= names {sorted(unknown)[0]!r}, and {self._short_name} has no such argument")
        self._result: Result[R] | None = None
        with suppress(NameError):  # a class that is defined further down: looked up at the first call
            self._result = Result.of(function, self._short_name)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._kept().unpack(await self._obtain(args, kwargs))

    async def fresh(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """As a call, but no result from before it will do. Who asks meanwhile joins."""
        return self._kept().unpack(await self._obtain(args, kwargs, fresh=True))

    async def note(self, *args: P.args, **kwargs: P.kwargs) -> Note:
        """As a call; answers the note that holds the result, to be passed on by its ID."""
        return await self._obtain(args, kwargs)

    def key_of(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key of such a call's note. Raises TypeError, naming the argument that cannot be part of a key."""
        given = (*self._bound, *args)
        return self._key(self._arguments(given, kwargs), given, kwargs)

    def sample(self, number: int) -> Self:
        """The same function with results of its own for each number: independent samples of what is left to chance."""
        given: Any = number  # not all programs are type-checked
        if not isinstance(given, int):
            raise TypeError(f"{self._short_name}.sample takes a number, and answers a function: sample(2)(…)")
        other = copy(self)
        other._terms = replace(self._terms, sample=number)
        return other

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...

    @overload
    def __get__(self: Shared[Concatenate[T, Q], R], instance: T, owner: Any = None) -> Shared[Q, R]: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        other = copy(self)
        other._bound = (*self._bound, instance)
        return other

    def __repr__(self) -> str:
        return f"<shared {self._name}>"

    async def _obtain(self, args: Any, kwargs: Any, *, fresh: bool = False) -> Note:
        args, terms, kept = (*self._bound, *args), self._terms, self._kept()

        async def compute() -> Any:
            pending: Any = cast(Any, self._function)(*args, **kwargs)
            if not inspect.isawaitable(pending):
                raise TypeError(f"{self._short_name} answered at once: a shared function is asynchronous (async def)")
            return kept.pack(await pending)

        arguments = self._arguments(args, kwargs)
        key, label = self._key(arguments, args, kwargs), self._label(arguments, args, kwargs)
        return await self._memory().once(
            key, compute, ttl=terms.ttl, fresh=fresh, tags=terms.tags, limit=terms.limit, label=label
        )

    def _kept(self) -> Result[R]:
        if self._result is None:
            try:
                self._result = Result.of(self._function, self._short_name)
            except NameError as error:
                raise TypeError(
                    f"what {self._short_name} answers cannot be looked up ({error}): define that class outside "
                    "functions, and import it outside `if TYPE_CHECKING`"
                ) from error
        return self._result

    def _arguments(self, args: Any, kwargs: Any) -> dict[str, Any]:
        """By name, defaults among them, without those that are ignored. Raises TypeError when the call does not fit."""
        try:
            call = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._short_name}: {error}") from None
        call.apply_defaults()
        return {name: value for name, value in call.arguments.items() if name not in self._terms.ignore}

    def _key(self, arguments: dict[str, Any], args: Any, kwargs: Any) -> str:
        terms = self._terms
        parts: list[Any] = ["shared", self._name, terms.version]
        if terms.key is None:
            parts.append({name: self._part(name, value) for name, value in arguments.items()})
        else:
            try:
                parts.append(["key", canonical(terms.key(*args, **kwargs))])
            except Unfit as error:
                raise TypeError(f"key= of {self._short_name} gave what cannot be a key: {error}") from None
        if terms.sample is not None:
            parts.append(["sample", terms.sample])
        return fingerprint(*parts)

    def _part(self, name: str, value: Any) -> Any:
        try:
            return canonical(value)
        except Unfit as error:
            raise TypeError(
                f"the argument {name!r} of {self._short_name} cannot be part of a key ({error}): leave it out by "
                f"ignore=[{name!r}] if the result does not depend on it, or choose the key by key="
            ) from None

    def _label(self, arguments: dict[str, Any], args: Any, kwargs: Any) -> str | None:
        match self._terms.label:
            case None:
                return label_of_call(self._short_name, arguments)
            case str() as label:
                return label
            case make:
                return make(*args, **kwargs)


def _unbound(function: Any) -> tuple[Any, tuple[Any, ...]]:
    """The function, and the instance that it is bound to. Raises TypeError for what cannot be shared."""
    if inspect.ismethod(function):  # its instance is an argument like any other
        return function.__func__, (function.__self__,)
    if not callable(function) or isinstance(function, type):
        raise TypeError(f"shared takes an async function, not {function!r}")
    if isinstance(function, functools.partial):
        raise TypeError("share the function itself, and make the partial of that: a key must hold all arguments")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{function.__name__} yields, and what is shared is kept whole: return a list")
    return function, ()


def _names(function: Any, terms: Terms) -> tuple[str, str]:
    """How people know the function, and its name in keys. Raises TypeError when it has none."""
    named: Any = function if hasattr(function, "__qualname__") else cast(Any, type(function))
    if terms.name is not None:
        return terms.name, terms.name
    if named.__name__ == "<lambda>":
        raise TypeError("a lambda has no name that keys could hold: give it one by name=")
    return named.__name__, name_of(named)


def share(memory: Callable[[], Memory], function: Callable[P, Awaitable[R]] | None, **terms: Any) -> Any:
    """The shared function; without a function, the decorator that makes it."""
    agreed = Terms.of(**terms)

    def wrap(wrapped: Callable[Q, Awaitable[T]], /) -> Shared[Q, T]:
        return Shared(wrapped, memory, agreed)

    return wrap if function is None else wrap(function)


@overload
def shared(function: Callable[P, Awaitable[R]], /) -> Shared[P, R]: ...


@overload
def shared(
    *, version: int | str = 1, ttl: Ttl = FLOCK_DEFAULT, limit: timedelta = COMPUTE_LIMIT, tags: Iterable[str] = (),
    key: Callable[..., Any] | None = None, ignore: Iterable[str] = (), name: str | None = None,
    label: Callable[..., str] | str | None = None,
) -> Sharer: ...  # fmt: skip


def shared(function: Any = None, /, **terms: Any) -> Any:
    """As `Flock.shared`, of the flock that is open when the function is called: for functions of a module.

    That is the flock whose handler calls, or else the innermost that the program has opened around the call, or else
    the only one that is open. Without one a call raises NoFlock.
    """
    return share(lambda: current_flock().memory, function, **terms)
