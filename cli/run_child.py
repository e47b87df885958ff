"""One of several runs that are compared: `python -m roost.cli.run_child`.

Reads its order as a line of JSON from standard input, says `ready` on standard output, waits for a line that says go,
makes the run, and writes its document as a line. When standard input ends before that, nobody wants it any more.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from roost.actors.documents import Source
from roost.streams import Settings

from .failure import FAILED, report_failure
from .run.conduct import conduct
from .run.order import Order
from .run.quiet import set_up_run_logging
from .telemetry import telemetry


async def make(given: dict[str, Any]) -> dict[str, Any]:
    """Make the run that was ordered."""
    url, flock = given["url"], given["flock"]
    order = Order(
        settings=Settings.read(url=url, flock=flock),
        sources=tuple(Source(**source) for source in given["sources"]),
        questions=tuple(given["questions"]),
        model=given["model"],
        spool=Path(given["spool"]),
        latency=timedelta(milliseconds=given["latency_ms"]),
        agents=given["agents"],
        mode=given["mode"],
        allow_private=given["allow_private"],
        prices=given["prices"],
    )

    async def gate() -> None:
        print("ready", flush=True)  # noqa: T201 the parent waits for it
        if not await asyncio.to_thread(sys.stdin.readline):
            os._exit(FAILED)
        threading.Thread(target=_end_with_parent, name="roost parent", daemon=True).start()

    return await conduct(order, url, flock, lambda _: None, gate=gate)


def _end_with_parent() -> None:
    """At once: the flock is made to be thrown away, and whoever would read the document has gone."""
    sys.stdin.read()
    os._exit(FAILED)


def main() -> int:
    given = orjson.loads(sys.stdin.readline())
    set_up_run_logging(verbose=given["verbose"])
    try:
        with telemetry(quiet=True):
            document = asyncio.run(make(given))
    except Exception as error:
        return report_failure(error, debug=given["verbose"] > 0)
    sys.stdout.write(orjson.dumps(document).decode() + "\n")
    sys.stdout.flush()
    os._exit(0)  # the thread that waits for the parent's end holds standard input, which Python would wait for


if __name__ == "__main__":
    sys.exit(main())
