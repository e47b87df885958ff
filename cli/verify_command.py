"""`roost verify`: checks the log, and what is read against it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from .command import Command
from .options import Common, common_options, fold_options

if TYPE_CHECKING:
    from roost.actors import Actor
    from roost.projections import Difference, Projection
    from roost.projections.verify import Verdict

PATIENCE = timedelta(seconds=60)
MAX_SHOWN = 300
"""Characters of what each side has."""


@click.command("verify", cls=Command)
@click.option("--content", is_flag=True, help="Also read every content, and match it with its digest.")
@click.option("--seals", is_flag=True, help="Instead: compare the log with what `roost seal` has signed.")
@click.option("--against", metavar="PLACE", multiple=True,
              help="With --seals: a file or URL to which seals were exported; several are allowed.")  # fmt: skip
@click.option("--public-key", "public_keys", metavar="FILE", multiple=True,
              help="With --seals: only what this key signed counts [default: the key made here].")  # fmt: skip
@click.option("--key", metavar="FILE", envvar="ROOST_SEAL_KEY", help="With --seals: where the key of `roost seal` is.")
@fold_options
@common_options(json=True)
def verify(
    common: Common, content: bool, seals: bool, against: tuple[str, ...], public_keys: tuple[str, ...],
    key: str | None, actors: str | None, module: str | None,
) -> int:  # fmt: skip
    """Check the log, and that what is read is what the log makes of it. Ends with 1 when something is wrong.

    Checked are the log (every entry readable, versions without gaps, causes there, nothing deleted), notes, versions
    and contents, every projection whose class is at hand (Roost's own, and those of --module), and the states of the
    keyed actors that --actors names. The flock may be at work.

    With --seals the log is read, on the server and in the archive, and compared with its seals: an event that was
    changed, removed, reordered, inserted or cut off is found, and so is a seal that was.
    """
    if seals:
        if content or actors or module:
            raise click.UsageError("--seals compares the log with its seals only: leave the other options out")
        from .seals_report import verify_seals

        return asyncio.run(verify_seals(common, against, key, public_keys))
    if against or public_keys:
        raise click.UsageError("--against and --public-key go with --seals")
    from .folds_module import find_keyed, find_projections

    return asyncio.run(_verify(common, content, find_keyed(actors), find_projections(module)))


async def _verify(common: Common, content: bool, keyed: list[Actor], projections: dict[str, Projection[Any]]) -> int:
    from roost.actors.stored_states import StoredStates
    from roost.projections.rebuilding import verify_view
    from roost.projections.verify import verify
    from roost.streams import RoostError
    from roost.streams.every_shard import find_shards

    from .folds_module import built_views
    from .reading_progress import show_reading

    settings = common.settings()
    async with common.connect(settings) as connection:
        shards = await find_shards(connection.client, settings.flock, patience=PATIENCE)
        if not await shards[0].command("EXISTS", shards[0].keys.key("meta")):
            raise RoostError(f"there is no flock {settings.flock!r} on this server")
        with show_reading() as reading:
            events = sum([int(await shard.command("XLEN", shard.keys.log)) for shard in shards])
            reading.begin("the log", events)
            verdict = await verify(shards, content=content, progress=reading.add)
            built = await built_views(shards)
            views = [each for each in projections if each in built]
            for name in views:
                reading.begin(name, events)
                for shard in shards:
                    found = await verify_view(shard, projections[name], progress=lambda done, _: reading.reach(done))
                    if found is not None:
                        verdict.tell(found)
            for actor in keyed:
                async for difference in StoredStates(shards, actor).differences():
                    verdict.tell(difference)
    _show(common, verdict, views, sorted(built - set(projections)), [actor.name for actor in keyed])
    return 0 if verdict.is_clean else 1


def _show(common: Common, verdict: Verdict, views: list[str], skipped: list[str], states: list[str]) -> None:
    from .failure import tell
    from .json_lines import dump_safely
    from .terminal import foreign, show, table, write

    if common.json:
        document = {
            "clean": verdict.is_clean, "findings": [_as_json(finding) for finding in verdict.findings],
            "count": verdict.count, "shards": verdict.shards, "events": verdict.events, "subjects": verdict.subjects,
            "notes": verdict.notes, "contents": verdict.contents, "causes_checked": verdict.causes_checked,
            "odd": verdict.odd, "views": views, "states": states, "not_at_hand": skipped,
            "seconds": round(verdict.seconds, 3),
        }  # fmt: skip
        write(dump_safely(document))
        return
    if not verdict.is_clean:
        shown = table("What", "By the log", "There is")
        for finding in verdict.findings:
            shown.add_row(*[foreign(text, wrap=True) for text in _texts(finding)])
        show(shown)
        if verdict.count > len(verdict.findings):
            tell(f"{verdict.count - len(verdict.findings):,} more were found")
    for name in skipped:
        tell(f"the projection {name} was not verified: say where its class is with --module MODULE")
    if verdict.odd:
        tell(f"{verdict.odd:,} events of notes do not fit their type and count for nothing")
    if not verdict.causes_checked:
        why = "this is an imported run" if verdict.imported else "the log was trimmed"
        where = "where it came from" if verdict.imported else "in its archive"
        tell(f"causes were not looked for: {why}, and they may be {where}")
    facts = f"{verdict.events:,} events of {verdict.subjects:,} subjects, {verdict.notes:,} notes"
    if verdict.contents is not None:
        facts += f", {verdict.contents:,} contents"
    if views or states:
        facts += f", {', '.join([*views, *[f'states of {name}' for name in states]])}"
    wrong = f"{verdict.count:,} findings; `roost rebuild` mends what is read"
    how = "all is as the log says" if verdict.is_clean else wrong
    write(f"{facts} in {verdict.seconds:.1f} s: {how}")


def _as_json(finding: Difference) -> dict[str, Any]:
    what, folded, served = _texts(finding)
    return {"what": what, "folded": folded, "served": served}


def _texts(finding: Difference) -> tuple[str, str, str]:
    def text(side: object) -> str:
        raw = side.decode(errors="replace") if isinstance(side, bytes) else "nothing" if side is None else str(side)
        return raw if len(raw) <= MAX_SHOWN else f"{raw[:MAX_SHOWN]}… ({len(raw):,} characters)"

    return finding.what, text(finding.folded), text(finding.served)
