"""Which key ring a setting means: a directory, or a program's own."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from .file_ring import FileRing
from .ring import KeyRing

_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def names_function(place: str) -> bool:
    """Whether it is `module:function`."""
    return _OWN.fullmatch(place) is not None


def choose_ring(place: str) -> KeyRing:
    """`module:function` is called for a ring; all else is the path of a directory. Raises SettingsError."""
    if not names_function(place):
        return FileRing(Path(place))
    module, _, name = place.partition(":")
    try:
        made: Any = getattr(import_module(module), name)()
    except Exception as error:
        raise SettingsError(
            f"{place} gives no key ring ({type(error).__name__}: {error}): name a directory, or a function of a module "
            "that can be imported (ROOST_KEYS)"
        ) from error
    if not all(callable(getattr(made, each, None)) for each in ("find", "make", "destroy")):
        raise SettingsError(f"{place} gives no key ring: it must have find, make and destroy (ROOST_KEYS)")
    ring: KeyRing = made
    return ring
