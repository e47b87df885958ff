"""Where the `roost` command begins and ends. Only click is imported here: help must be quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NoReturn

import click

import roost

from .command import LazyGroup
from .failure import INTERRUPTED, end_quietly, report_failure

WIDTH = 100


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)
@click.version_option(roost.__version__, "--version", prog_name="roost")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """One shared, event-sourced memory for a flock of AI agents.

    What one agent has learned the others reuse by its ID, and the same work is done once. `roost COMMAND --help` tells
    more; ROOST_URL, ROOST_FLOCK, ROOST_HOME and ROOST_MODEL set what most commands have options for.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if args is None else args)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a character that the encoding lacks must not end the command
            stream.reconfigure(errors="backslashreplace")
    if "_ROOST_COMPLETE" in os.environ:
        cli.main(words, prog_name="roost")
    sys.exit(_run(words))


def _run(words: list[str]) -> int:
    try:
        with cli.make_context("roost", words) as ctx:
            answer = cli.invoke(ctx)
        sys.stdout.flush()  # here, where a closed pipe can still be met quietly
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("roost: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return end_quietly()
    except Exception as error:
        return report_failure(error, debug="--debug" in words)
    return answer if isinstance(answer, int) else 0


if __name__ == "__main__":
    main()
