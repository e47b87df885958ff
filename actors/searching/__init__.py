"""Searching: a full-text index of a flock's live notes, on this machine's disk, that follows the log."""
