"""A run, read from its part of the log, and kept up while it goes on."""

from .reading import RunReading, read_run

__all__ = ["RunReading", "read_run"]
