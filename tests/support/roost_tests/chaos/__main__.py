"""`python -m roost_tests.chaos`: runs the storm, prints what it found, and ends with 1 if anything was wrong."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import cast

import click
import orjson
from rich.console import Console

from .checker import ORDERED
from .plan import Where, kinds_of, plan
from .run import Outcome, run_chaos
from .storm import Terms

SHOWN = 40


@click.command(help="Lets work go on while processes, connections and servers fail, then checks the log.")
@click.option("--server", type=click.Choice(["standalone", "cluster", "both"]), default="both", show_default=True)
@click.option("--seconds", type=click.FloatRange(min=3), default=300, show_default=True, help="Of each storm.")
@click.option("--seed", help="Of the schedule of faults and of the commands; drawn and printed if not given.")
@click.option("--pace", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Seconds between faults.")
@click.option("--only", multiple=True, metavar="KIND", help="Only these kinds of faults.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0.1),
    default=12.0,
    show_default=True,
    help="Commands a second, of each producer.",
)
@click.option("--workers", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--shards", type=click.IntRange(1, 64), default=1, show_default=True, help="Of the flock.")
@click.option("--lease", "lease_s", type=click.FloatRange(min=0.3), default=1.5, show_default=True, help="Seconds.")
@click.option("--out", type=click.Path(path_type=Path), help="A file for the summary as JSON.")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="A directory for journals, logs and data, kept afterwards."
)
@click.option("--plan", "shows_plan", is_flag=True, help="Print the schedule and stop.")
@click.option("--quiet", is_flag=True, help="Do not tell of each fault.")
@click.option(
    "--ordered/--unordered", default=ORDERED, show_default=True, help="Check the order of keys across processes."
)
def main(
    server: str, seconds: float, seed: str | None, pace: float, only: tuple[str, ...], rate: float, workers: int,
    shards: int,
    lease_s: float, out: Path | None, keep: Path | None, shows_plan: bool, quiet: bool, ordered: bool,
) -> None:  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside it cleans up, too
    console = Console(stderr=True, highlight=False)
    seed = seed or secrets.token_hex(4)
    results: list[dict[str, object]] = []
    for where in cast("list[Where]", ["standalone", "cluster"] if server == "both" else [server]):
        kinds = kinds_of(where)
        unknown = [kind for kind in only if kind not in kinds]
        if unknown:
            raise click.UsageError(
                f"on {where} there is no fault {unknown[0]!r}; there are: {', '.join(sorted(kinds))}"
            )
        chosen = {kind: kinds[kind] for kind in only} or kinds
        faults = plan(seed, seconds, where, lease_s=lease_s, pace_s=pace, kinds=chosen)
        console.print(f"{where}: seed {seed}, {len(faults)} faults in {seconds:.0f} s")
        if shows_plan:
            sys.stdout.writelines(f"{fault}\n" for fault in faults)
            continue
        directory = Path(tempfile.mkdtemp(prefix="roost-chaos-")) if keep is None else keep / where
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise click.UsageError(f"{directory} holds another run: name a new directory")
        terms = Terms("chaos", seed, directory, workers=workers, rate=rate, lease_s=lease_s, shards=shards)
        try:

            def tell(text: str) -> None:
                if not quiet:
                    console.print(text, markup=False)

            outcome = asyncio.run(run_chaos(terms, where, faults, seconds, tell, ordered=ordered))
        finally:
            if keep is None:
                shutil.rmtree(directory, ignore_errors=True)
        show(console, where, seed, outcome)
        results.append(as_json(where, seed, seconds, outcome))
    if out is not None:
        out.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
    sys.exit(any(result["violations"] for result in results))


def show(console: Console, where: Where, seed: str, outcome: Outcome) -> None:
    console.print(outcome.summary.table(f"{where}, seed {seed}"))
    for violation in outcome.violations[:SHOWN]:
        console.print(f"VIOLATION {violation}", style="red", markup=False, soft_wrap=True)
    if len(outcome.violations) > SHOWN:
        console.print(f"and {len(outcome.violations) - SHOWN:,} more")
    console.print(f"{where}, seed {seed}: {len(outcome.violations)} violations")


def as_json(where: Where, seed: str, seconds: float, outcome: Outcome) -> dict[str, object]:
    violations = [asdict(violation) for violation in outcome.violations]
    return {
        "server": where, "seed": seed, "seconds": seconds, "violations": violations, "summary": asdict(outcome.summary)
    }  # fmt: skip


if __name__ == "__main__":
    main()
