"""Traces told from the log: of a note, and of a run."""
