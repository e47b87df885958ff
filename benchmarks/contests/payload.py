"""What is appended: an event whose data has 300 bytes."""

from __future__ import annotations

from dataclasses import dataclass

from roost import event

TEXT = "x" * 289


@event("bench.happened")
@dataclass(frozen=True, slots=True)
class Happened:
    text: str


HAPPENED = Happened(TEXT)
DATA = b'{"text":"' + TEXT.encode() + b'"}'
"""The same as JSON: 300 bytes."""
