"""pydocket: a task on a docket."""

import sys

from docket import Docket

from benchmarks.console import Tally

URL, NAME = sys.argv[1:3]
TEXT = "x" * 289

tally = Tally()


async def handle(text: str) -> None:
    tally.add()


def open_docket() -> Docket:
    return Docket(name=NAME, url=URL)
