"""What can be folded anew: the projections that Roost ships and those of a module, and a module's keyed actors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roost.actors import Actor
from roost.projections import Projection
from roost.streams import SettingsError, Shard

from .actors_module import is_projection, load_actors, load_projections

INLINE = ("notes", "versions")
STATES = "states"
SEARCH = "search"


def find_projections(module: str | None) -> dict[str, Projection[Any]]:
    """Those that Roost ships, and those that the module itself defines, by name. Raises SettingsError."""
    import roost.projections

    shipped = [each for each in vars(roost.projections).values() if is_projection(each)]
    own = [] if module is None else load_projections(module)
    if module is not None and not own:
        raise SettingsError(f"{module} defines no projection: subclass roost.projections.Projection with a name")
    return {each.name: each() for each in [*shipped, *own]}


def find_keyed(target: str | None) -> list[Actor]:
    """The keyed actors with state of a module. Raises SettingsError."""
    if target is None:
        return []
    keyed = [actor for actor in load_actors(target) if actor.state is not None]
    if not keyed:
        raise SettingsError(f"{target} has no keyed actor: only these have states")
    return keyed


async def built_views(shards: Sequence[Shard]) -> set[str]:
    """Names of the views that any of the shards has."""
    found: set[str] = set()
    for shard in shards:
        for name in await shard.command("HKEYS", shard.keys.key("views")):
            found.add(name.decode(errors="replace").partition("/")[0])
    return found
