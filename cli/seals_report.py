"""`roost verify --seals`: what a log is, against what it was when it was sealed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roost.streams.seals.finding import Checked

    from .options import Common


async def verify_seals(common: Common, against: Sequence[str], key: str | None, public_keys: Sequence[str]) -> int:
    """1 when something is wrong, or nothing is sealed."""
    from roost.streams import Keys, Shard
    from roost.streams.every_shard import find_shards
    from roost.streams.seals.checking import check_seals

    from .reading_progress import show_reading
    from .seal_choice import PATIENCE, found_shards, sources_of, trusted_keys

    settings = common.settings()
    trusted = trusted_keys(settings.home, key, public_keys)
    began = time.monotonic()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        sources = await sources_of(settings.home, settings.flock, len(shards), against)
        if not any(each.content for of_shard in sources.values() for each in of_shard):
            await found_shards(connection, settings.flock)  # or there is no such flock, and never was
        # Where seals tell of a shard it is looked at: if it is not there any more, that is what has happened to it.
        for number in sorted(set(sources) - {shard.number for shard in shards}):
            shards.append(Shard(connection.client, Keys(settings.flock, number), patience=PATIENCE))
        checked: list[Checked] = []
        with show_reading() as reading:
            for shard in shards:
                reading.begin("the log", int(await shard.command("XLEN", shard.keys.log)))
                checked.append(await check_seals(shard, sources[shard.number], trusted, progress=reading.add))
    _show(common, settings.flock, checked, time.monotonic() - began)
    is_sealed = all(each.head for each in checked if each.unsealed)
    return 0 if is_sealed and all(each.is_clean for each in checked) else 1


def _show(common: Common, flock: str, checked: list[Checked], seconds: float) -> None:
    from .failure import tell
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    count = sum(len(each.findings) + each.more for each in checked)
    if common.json:
        told = [asdict(each) for each in checked]
        write(dump_safely({"clean": count == 0, "count": count, "shards": told, "seconds": round(seconds, 3)}))
        return
    if count:
        shown = table("Shard", "Seal", "Found", "In", "What")
        for each in checked:
            for one in each.findings:
                where = "" if one.first is None else f"{one.first} to {one.last}"
                number = "" if one.seal is None else str(one.seal)
                shown.add_row(str(each.shard), number, one.kind, where, foreign(one.what, wrap=True))
        show(shown)
    for each in checked:
        which = f"shard {each.shard}: " if len(checked) > 1 else ""
        if each.more:
            tell(f"{which}{each.more:,} more were found")
        if each.skipped:
            tell(f"{which}{each.skipped:,} seals are of the log before it was sealed anew: of now they tell nothing")
        if not each.head and each.unsealed:
            tell(f"{which}nothing of flock {flock!r} is sealed yet, {each.unsealed:,} events: run `roost seal`")
        elif each.unsealed:
            when = datetime.fromtimestamp(int((each.unsealed_since or "0").partition("-")[0]) / 1000, UTC)
            tell(f"{which}{each.unsealed:,} events since {when:%Y-%m-%d %H:%M:%S} UTC are not sealed yet")
    seals, events = sum(each.seals for each in checked), sum(each.events for each in checked)
    how = "all is as it was sealed" if not count else f"{count:,} findings"
    write(f"{events:,} events of {seals:,} seals in {seconds:.1f} s: {how}")
