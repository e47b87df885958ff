"""`roost` in a process that ends, or stands still, at a moment that was chosen for it. `DoomedBridge` starts such ones.

As a module it is that process. What is chosen are calls of Kafka's client, whatever the bridge makes of them; its lease
is short, and so are its batches, so that there are many of them.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from .command import SEVERAL_SECONDS, RoostCommand

SUPPORT = Path(__file__).parent.parent
FATE, LEASE, BATCH = "ROOST_TEST_FATE", "ROOST_TEST_LEASE_MS", "ROOST_TEST_BATCH"
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
MOMENTS = {
    "fenced": ("start", "after"),  # those before it, and has read no place yet
    "begun": ("begin_transaction", "after"),
    "sending": ("send_batch", "after"),  # a part may be there
    "sent": ("commit_transaction", "before"),  # all is there
    "committing": ("commit_transaction", "during"),  # the commit may have arrived
    "committed": ("commit_transaction", "after"),  # and nobody knows it
}


@dataclass(frozen=True, slots=True)
class Fate:
    """At the `count`th time of that moment; `signal` is KILL or STOP."""

    moment: str
    count: int = 1
    signal: str = "KILL"

    def __str__(self) -> str:
        return f"{self.moment} {self.count} {self.signal}"


class DoomedBridge:
    """One process; what it says goes to `log`, behind what others have said there."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    @classmethod
    async def start(
        cls, roost: RoostCommand, bootstrap: str, *options: str, fate: Fate | None = None, log: str = "bridge.log",
        lease: timedelta = timedelta(seconds=1), batch: int = 50,
    ) -> DoomedBridge:  # fmt: skip
        """Without a fate it lives as other bridges do."""
        environment = roost.environment | {
            "PYTHONPATH": os.pathsep.join([str(SUPPORT), roost.environment.get("PYTHONPATH", "")]),
            FATE: "" if fate is None else str(fate),
            LEASE: str(lease // timedelta(milliseconds=1)),
            BATCH: str(batch),
            "KAFKA_BOOTSTRAP": bootstrap,
        }
        file = roost.directory / log
        with file.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "roost_tests.doomed_bridge", "bridge", "kafka", *options,
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, cwd=roost.directory, env=environment,
            )  # fmt: skip
        return cls(process, file)

    async def end(self) -> int:
        """Its exit code, when it has ended by itself; -9 for one that was killed."""
        async with asyncio.timeout(SEVERAL_SECONDS):
            return await self.process.wait()

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", errors="replace")

    @property
    def stands_still(self) -> bool:
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def main() -> None:
    """The process."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    bridge: Any = importlib.import_module("roost.streams.kafka.bridge").Bridge
    bridge.__init__.__kwdefaults__["lease"] = timedelta(milliseconds=int(os.environ[LEASE]))
    for module, name in (("roost.streams.kafka.reader", "MAX_EVENTS"), ("roost.streams.log", "PAGE")):
        setattr(importlib.import_module(module), name, int(os.environ[BATCH]))
    if os.environ[FATE]:
        moment, count, number = os.environ[FATE].split()
        _meet(*MOMENTS[moment], int(count), signal.Signals[f"SIG{number}"])
    from roost.cli.main import main as roost

    sys.exit(roost())


def _meet(method: str, when: str, count: int, number: signal.Signals) -> None:
    """Let the producer's method end this process, or stop it, at that call."""
    from aiokafka import AIOKafkaProducer

    producer: Any = AIOKafkaProducer
    real: Callable[..., Awaitable[Any]] = getattr(producer, method)
    calls = 0

    async def call(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != count:
            return await real(self, *arguments, **named)
        if when == "before":
            os.kill(os.getpid(), number)
        calling = asyncio.ensure_future(real(self, *arguments, **named))
        if when == "during":
            await asyncio.wait([calling], timeout=random.uniform(0, 0.004))
            os.kill(os.getpid(), number)
        answer = await calling
        if when == "after":
            os.kill(os.getpid(), number)
        return answer

    setattr(producer, method, call)


if __name__ == "__main__":
    main()
