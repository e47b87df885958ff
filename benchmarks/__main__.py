"""`python -m benchmarks`."""

from benchmarks.command import command

command()
