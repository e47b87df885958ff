"""Views folded anew: to take the place of what is read, or to be compared with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from roost.streams import Log, RoostError, Shard
from roost.streams.views import Standing, StoredView

from .difference import Difference
from .folder import Folder
from .held_view import HeldView
from .projection import Projection
from .view import Progress, fold_to

ATTEMPTS = 20


async def rebuild_view(shard: Shard, projection: Projection[Any], *, progress: Progress | None = None) -> int:
    """Fold a projection anew in one shard, from the log's beginning, its archive with it; how many events that took.

    What is read stays as it is until the new rows have come as far; then they take its place in one step. Raises
    ProjectionStopped, ServerFull, ServerUnavailable.
    """
    live = StoredView(shard, projection.name, projection.version)
    fresh = StoredView(shard, projection.name, f"{projection.version}~anew")
    await fresh.drop()  # of a rebuild that was cut short, perhaps by an older evolve()
    folder = Folder(shard, projection, view=fresh)
    for _ in range(ATTEMPTS):
        await fold_to(shard, folder, await Log(shard).last(), progress)
        if not folder.standing.passed:  # the log is empty, and so is the view
            await live.drop(live=True)
            break
        if await fresh.take_place_of(live) == "swapped":
            break
    else:
        raise RoostError(f"projection {projection.name} is followed faster than it can be rebuilt: try again later")
    await live.take()
    return folder.standing.passed


async def verify_view(
    shard: Shard, projection: Projection[Any], *, progress: Progress | None = None
) -> Difference | None:
    """Fold a projection anew in memory, as far as its view has come, and compare; the first difference, or None.

    Raises RoostError when the view moves on faster than it can be read.
    """
    live = StoredView(shard, projection.name, projection.version)
    held = HeldView(live.name, shard.number)
    folder = Folder(shard, projection, view=held)
    for _ in range(ATTEMPTS):
        before, standing = await live.read_standing()
        await fold_to(shard, folder, standing.position, progress)
        stored = await live.read_all()
        order = await live.read_order()
        after, _ = await live.read_standing()
        if before == after:  # nobody has folded on while it was read
            return next(_differences(shard, live.name, held, stored, order, standing), None)
    raise RoostError(f"projection {projection.name} moves on faster than it can be read: verify when less is going on")


def _differences(
    shard: Shard, view: str, held: HeldView, stored: dict[str, bytes], order: set[str], standing: Standing
) -> Iterator[Difference]:
    where = f"of view {view}" if shard.number == 0 else f"of view {view} in shard {shard.number}"
    for key in sorted({*held.rows, *stored}):
        folded, served = _parsed(held.rows.get(key)), _parsed(stored.get(key))
        if folded != served:
            yield Difference(f"row {key} {where}", folded, served)
    for key in sorted(order.symmetric_difference(stored)):
        yield Difference(f"order of row {key} {where}", key in stored, key in order)
    counted = (held.standing.passed, held.standing.failed)
    if counted != (standing.passed, standing.failed):
        yield Difference(f"events folded and failed {where}", counted, (standing.passed, standing.failed))


def _parsed(row: bytes | None) -> Any:
    if row is None:
        return None
    try:
        return orjson.loads(row)
    except ValueError:
        return row  # somebody wrote it by hand
