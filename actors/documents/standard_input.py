"""Standard input as a spooled file."""

from __future__ import annotations

import io
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .limits import MIB, Limits
from .spool import Spool, SpoolWriter, in_megabytes, path_of

_LOOK_EVERY_SECONDS = 0.2


def spool_input(stream: BinaryIO, spool: Spool, limits: Limits) -> Path:
    """Write all of `stream` into a file of `spool`; ends soon after the spool is discarded."""
    limit = in_megabytes(limits.input_bytes)
    with spool.file() as file:
        complaint = f"standard input is over {limit}; write it to a file and name that"
        writer = SpoolWriter(file, limits.input_bytes, complaint)
        for chunk in _chunks(stream, spool):
            writer.write(chunk)
        return path_of(file)


def _chunks(stream: BinaryIO, spool: Spool) -> Iterator[bytes]:
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        while chunk := stream.read(MIB):
            yield chunk
        return
    # a read of a terminal cannot be broken off, and would keep the whole program from ending
    while not spool.discarded:
        if select.select([descriptor], [], [], _LOOK_EVERY_SECONDS)[0]:
            chunk = os.read(descriptor, MIB)
            if not chunk:
                return
            yield chunk
