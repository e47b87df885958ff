"""A command of `roost` as a child of the page: `python -m roost.cli.page_child WORD…`.

Its standard input is a lifeline: when the page's process has gone, however it went, the command ends as by SIGTERM.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import NoReturn

from .lifeline import Lifeline
from .main import main as run_command

GRACE = timedelta(seconds=20)
"""For a run to say in the log that it was stopped, and for its processes to end."""


def main() -> NoReturn:
    Lifeline.take().watch(GRACE)
    run_command(sys.argv[1:])


if __name__ == "__main__":
    main()
