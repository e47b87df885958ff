"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(place: Path, text: str) -> None:
    """Write a file, so that whoever looks finds the old text or the new one. Raises OSError."""
    if place.exists() and not place.is_file():  # a device or a pipe
        place.write_text(text, "utf-8")
        return
    beside = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(text, "utf-8")
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)
