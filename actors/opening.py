"""Opening a flock: what `Flock.open` answers, to be entered by `async with`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

F = TypeVar("F")

ENTER = "the flock is not open yet: write `async with Flock.open(…) as flock:`, and use the flock within that block"


class Opening(AbstractAsyncContextManager[F], Generic[F]):
    """A flock that `async with` opens, and closes at the end of its block. Nothing else can be done with it."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[F]]) -> None:
        self._make = make
        self._entered: AbstractAsyncContextManager[F] | None = None

    async def __aenter__(self) -> F:
        if self._entered is not None:
            raise RuntimeError("this flock has been opened already: call Flock.open again for another")
        self._entered = self._make()
        return await self._entered.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._entered is not None
        return await self._entered.__aexit__(kind, error, trace)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(ENTER)

    def __enter__(self) -> NoReturn:
        raise TypeError(ENTER)

    def __exit__(self, *_: Any) -> None:
        """Only so that `with` gets as far as the sentence."""

    def __await__(self) -> NoReturn:
        raise TypeError(ENTER)
