"""A process that works for a run: `python -m roost.cli.run_worker RUN`, told the rest by ROOST_URL and ROOST_FLOCK.

It ends when its standard input does (its parent has gone), and on SIGTERM or SIGINT, in good order.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from roost.actors import Flock
from roost.actors.report import find_run, model_for, working
from roost.streams import RoostError

from .failure import tell
from .logging import set_up_logging


async def work(run: str, spool: Path) -> None:
    """Work for a run until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    loop.add_reader(sys.stdin, _listen, stop)
    async with Flock.open() as looking:
        spec = await find_run(looking, run)
    sharing = "cache" if spec.mode == "cache" else "once"
    async with Flock.open(model=model_for(spec), sharing=sharing) as flock, working(flock, spec, spool):
        await stop.wait()


def _listen(stop: asyncio.Event) -> None:
    if not sys.stdin.buffer.raw.read(1024):  # type: ignore[attr-defined]  # buffered readers have it
        asyncio.get_running_loop().remove_reader(sys.stdin)
        stop.set()


def main() -> int:
    set_up_logging(verbose=0, as_json=False)
    try:
        asyncio.run(work(sys.argv[1], Path(sys.argv[2])))
    except RoostError as error:
        tell(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
