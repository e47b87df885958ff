"""One of several runs that are compared: `python -m roost.cli.run_child`.

Reads its order as a line of JSON from standard input, says `ready` on standard output, waits for a line that says go,
makes the run, and writes its document as a line.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from roost.actors.documents import Source
from roost.streams import RoostError, Settings

from .failure import tell
from .logging import set_up_logging
from .run.conduct import conduct
from .run.order import Order


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
    )
    loop = asyncio.get_running_loop()

    async def gate() -> None:
        print("ready", flush=True)  # noqa: T201 the parent waits for it
        await loop.run_in_executor(None, sys.stdin.readline)

    return await conduct(order, url, flock, lambda _: None, gate=gate)


def main() -> int:
    set_up_logging(verbose=0, as_json=False)
    try:
        document = asyncio.run(make(orjson.loads(sys.stdin.readline())))
    except RoostError as error:
        tell(str(error))
        return 1
    sys.stdout.write(orjson.dumps(document).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
