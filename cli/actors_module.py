"""The actors and projections that a module defines, as `roost work MODULE[:NAME]` names them."""

from __future__ import annotations

import importlib
import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard, cast

from roost.actors import Actor
from roost.projections import Projection
from roost.streams import RoostError, SettingsError


def load_actors(target: str) -> list[Actor]:
    """The actors of `module`, `module:name`, `path/to/file.py` or `path/to/file.py:name`.

    Without a name: all that the module itself defines, which may be none if it defines a projection. A name is that of
    an actor or of several. Raises SettingsError when there is no such module, name or actor, RoostError when the module
    fails while it is loaded.
    """
    module, name = _load(target)
    found = _actors_in(module) if name is None else _actors_named(module, name)
    if not found and not load_projections(target):
        raise SettingsError(f"{module.__name__} defines no actor: subclass roost.Actor, and mark its methods with @on")
    actors = [actor if isinstance(actor, Actor) else _make(actor) for actor in found]
    names = [actor.name for actor in actors]
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise SettingsError(f"{target} has two actors named {twice[0]!r}: they would share an inbox; name them apart")
    return actors


def load_projections(target: str) -> list[type[Projection[Any]]]:
    """The projections that the module of that target defines, if any. Raises as `load_actors`."""
    module, _ = _load(target)
    found: list[type[Projection[Any]]] = []
    for value in vars(module).values():
        if is_projection(value) and value.__module__ == module.__name__ and value not in found:
            found.append(value)
    return found


def is_projection(value: Any) -> TypeGuard[type[Projection[Any]]]:
    """Whether it is a projection's class that has a name: without one it is there to be subclassed."""
    return isinstance(value, type) and issubclass(value, Projection) and hasattr(cast(Any, value), "name")


def _load(target: str) -> tuple[ModuleType, str | None]:
    place, name = _split(target)
    return _load_file(Path(place)) if place.endswith(".py") else _load_module(place), name


def _split(target: str) -> tuple[str, str | None]:
    place, colon, name = target.rpartition(":")
    if not colon:
        return target, None
    if not place or not name.isidentifier():
        raise SettingsError(f"{target!r} names no actors; write MODULE or MODULE:NAME, MODULE may be a .py file")
    return place, name


def _load_module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise SettingsError(f"{name!r} cannot be a module; write its name with dots, or the path of a .py file")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise SettingsError(
                f"there is no module {name!r}; run this where Python finds it, or give the path of its .py file"
            ) from None
        raise _failure(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failure(name, error) from error


def _load_file(path: Path) -> ModuleType:
    """As Python runs a script: what lies beside it can be imported. Its module has the file's name."""
    if not path.is_file():
        raise SettingsError(f"there is no file {path}")
    known = sys.modules.get(path.stem)
    if known is not None:
        place = getattr(known, "__file__", None)
        if place is not None and Path(place).resolve() == path.resolve():
            return known  # it was loaded before, for what else it defines
        raise SettingsError(f"{path} has the name of another module, {known.__name__}; rename the file")
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SettingsError(f"{path} is no Python file")
    sys.path.insert(0, str(path.resolve().parent))
    module = module_from_spec(spec)
    sys.modules[path.stem] = module  # before it is executed: dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[path.stem]
        raise _failure(str(path), error) from error
    return module


def _failure(place: str, error: BaseException) -> RoostError:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        where = f" ({error.filename}, line {error.lineno})"
        return RoostError(f"{place} cannot be loaded: {error.msg}{where}")
    return RoostError(f"{place} cannot be loaded: {type(error).__name__}: {error}{where}")


def _actors_in(module: ModuleType) -> list[type[Actor]]:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Actor)
        and value.__module__ == module.__name__
        and value.handlers  # without any it is there to be subclassed
    ]
    return list(dict.fromkeys(found))


def _actors_named(module: ModuleType, name: str) -> list[Actor | type[Actor]]:
    if not hasattr(module, name):
        known = ", ".join(actor.__name__ for actor in _actors_in(module))
        raise SettingsError(f"{module.__name__} has no {name!r}; its actors are {known}")
    value: Any = getattr(module, name)
    try:
        found: list[Any] = [value] if _is_actor(value) else list(value)
    except TypeError:  # not several: it is judged as one
        found = [value]
    odd = [each for each in found if not _is_actor(each)]
    if odd or not found:
        what = f"{odd[0]!r} is none" if odd else "it is empty"
        raise SettingsError(f"{module.__name__}:{name} must be an actor or a list of actors; {what}")
    return cast("list[Actor | type[Actor]]", found)


def _is_actor(value: Any) -> bool:
    return isinstance(value, Actor) or (isinstance(value, type) and issubclass(value, Actor))


def _make(actor: type[Actor]) -> Actor:
    try:
        return actor()
    except TypeError as error:
        raise SettingsError(
            f"actor {actor.__name__} cannot be made without arguments ({error}): make it in the module, in a list, and "
            "name the list: MODULE:NAME"
        ) from error
