"""What a fork does otherwise, as a process that works for it loads it."""

from __future__ import annotations

from roost.actors import Flock
from roost.actors.replay.branch import Branch, need_forked

from ..actors_module import load_actors


async def load_branch(flock: Flock, run: str) -> Branch:
    """From the log, and from the module that it names. Raises RoostError when the run was never begun as a fork."""
    forked = await need_forked(flock, run)
    return Branch(forked, () if forked.code is None else tuple(load_actors(forked.code)))
