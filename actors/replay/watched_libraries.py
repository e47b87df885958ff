"""Watched libraries: what pydantic and numpy do beneath Python, where no hook sees it, and handlers often ask for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

from pydantic import BaseModel

from .around import ACTING, Kind
from .culprit import find_culprit

MODEL_INIT = BaseModel.__init__.__code__
"""A model is made by its class in a frame of this code, which asks a validator in Rust."""

NUMPY = "numpy.random"
OF_NO_DRAW = frozenset({"get_state", "set_state", "get_bit_generator", "set_bit_generator"})

_replaced: dict[str, Any] = {}
"""The functions of numpy.random that draw from its one generator, while they are watched."""


def note_defaults(frame: FrameType, known: Callable[[Any], tuple[Kind, str] | None]) -> None:
    """Name the clocks and dice that fill in fields of a model that is being made: `default_factory=datetime.now`."""
    acting = ACTING.get()
    if acting is None:
        return
    made: Any = frame.f_locals.get("self")
    given: Any = frame.f_locals.get("data")
    if not isinstance(made, BaseModel) or not isinstance(given, dict):
        return
    for name, field in type(made).model_fields.items():
        if field.default_factory is None or name in given or field.alias in given:
            continue
        try:
            found = known(field.default_factory)
        except TypeError:  # no hash
            continue
        culprit = None if found is None else find_culprit(frame)
        if found is not None and culprit is not None:
            acting.note(f"{found[1]} for {type(made).__name__}.{name}", culprit.where, found[0])


def watch_numpy() -> None:
    """Let the functions of numpy.random tell who calls them, once the module is there."""
    module = sys.modules.get(NUMPY)
    if module is None or _replaced:
        return
    generator: Any = getattr(getattr(module, "mtrand", None), "_rand", None)
    for name, call in list(vars(module).items()):
        if generator is not None and getattr(call, "__self__", None) is generator and name not in OF_NO_DRAW:
            _replaced[name] = call
            setattr(module, name, _telling(name, call))


def leave_numpy() -> None:
    """They are as they were."""
    module: ModuleType | None = sys.modules.get(NUMPY)
    for name, call in _replaced.items():
        if module is not None:
            setattr(module, name, call)
    _replaced.clear()


def _telling(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def tell(*args: Any, **kwargs: Any) -> Any:
        acting = ACTING.get()
        culprit = None if acting is None else find_culprit(sys._getframe(1))  # pyright: ignore[reportPrivateUsage]
        if acting is not None and culprit is not None and culprit.is_sure:
            acting.note(f"{NUMPY}.{name}", culprit.where, "random")
        return call(*args, **kwargs)

    return tell
