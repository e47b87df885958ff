"""Logging of the processes of a run: what its progress and its report tell is not told once more, line by line."""

from __future__ import annotations

from ..logging import set_up_logging, silence

TOLD = ("roost.actors.desk",)
"""Loggers of each delivery that is tried again or given up."""


def set_up_run_logging(*, verbose: int = 0, as_json: bool = False) -> None:
    """As `set_up_logging`."""
    set_up_logging(verbose=verbose, as_json=as_json)
    quieten(verbose)


def quieten(verbose: int) -> None:
    """Without `verbose`, deliveries that failed are shown by the progress, and named by the report."""
    if not verbose:
        silence(*TOLD)
