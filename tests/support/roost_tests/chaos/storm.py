"""The storm: work goes on in processes of their own, and the faults of a plan strike it."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from roost.actors import Flock
from roost.streams import RoostError

from .arena import Arena
from .nursery import Child, Nursery
from .plan import Fault
from .world import HALTING, OUTAGE, flag

START_S = 60.0
STOP_MARGIN_S = 15.0
ACTS = {"raise": 8.0, "sleep": 1.5, "block": 0.5, "poison": 1.0, "die": 0.3, "die always": 0.1}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run is about. `rate` is commands a second, of each producer; `acts` are weights beside 100 of none."""

    flock: str
    seed: str
    directory: Path
    workers: int = 4
    producers: int = 2
    lines: int = 6
    keys: int = 10
    shards: int = 1
    rate: float = 12.0
    lease_s: float = 1.5
    grace_s: float = 6.0
    patience_s: float = 40.0
    acts: dict[str, float] = field(default_factory=lambda: dict(ACTS))
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    """Further ones of `Flock.open`."""


HASTE_S = 1.0
"""The patience of every other producer: it gives up in an outage, and learns of refused and unknown outcomes."""


class Storm:
    """Keeps as many workers and producers as the terms say, and carries out faults. `struck` counts them by kind;
    `troubles` are what should not happen to any process."""

    def __init__(self, terms: Terms, arena: Arena, nursery: Nursery, tell: Callable[[str], None]) -> None:
        self.terms = terms
        self.struck: Counter[str] = Counter()
        self.troubles: list[str] = []
        self.started = Counter[str]()
        self._arena = arena
        self._nursery = nursery
        self._tell = tell
        self._draw = random.Random(terms.seed)
        self._workers: list[Child | None] = [None] * terms.workers
        self._producers: list[Child | None] = [None] * terms.producers
        self._ending = set[str]()
        """Roles of which nobody is to be replaced any more."""
        self._keepers: list[asyncio.Task[None]] = []
        self._expected: set[str] = set()
        """Processes that were told to stop, or killed."""

    async def begin(self) -> None:
        """Everybody at work."""
        await asyncio.gather(*(self._keep("worker", slot) for slot in range(self.terms.workers)))
        await asyncio.gather(*(self._keep("producer", slot) for slot in range(self.terms.producers)))

    async def rage(self, faults: tuple[Fault, ...], seconds: float) -> None:
        """For so many seconds. A fault that takes longer than the pause to the next one goes on beside it."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
                group.create_task(self._strike(fault))
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))

    async def quiet(self) -> None:
        """No more commands; all that was frozen, stalled or killed works again."""
        self._ending.add("producer")
        self._arena.proxy.calm()
        await self._arena.mend()
        await asyncio.gather(*(self._stop(child) for child in self._producers if child is not None))

    async def leave(self) -> None:
        """The workers stop, in good order."""
        self._ending.add("worker")
        await asyncio.gather(*(self._stop(child) for child in self._workers if child is not None))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def living(self) -> int:
        """Workers that are there."""
        return sum(child is not None and not child.gone.is_set() for child in self._workers)

    async def _keep(self, role: str, slot: int) -> None:
        """Start who belongs into a slot; whoever is killed there is replaced."""
        child = await self._start(role, str(slot), slot)
        (self._workers if role == "worker" else self._producers)[slot] = child
        self._keepers.append(asyncio.create_task(self._watch(role, slot, child)))
        await self._is_ready(child)

    async def _is_ready(self, child: Child) -> None:
        waits = [asyncio.create_task(child.ready.wait()), asyncio.create_task(child.gone.wait())]
        done, left = await asyncio.wait(waits, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in left:
            wait.cancel()
        if not done:
            self.troubles.append(f"{child.name} did not begin within {START_S:.0f} s")

    async def _start(self, role: str, place: str, slot: int) -> Child:
        terms = self.terms
        self.started[role] += 1
        name = f"{role[0]}{place}.{self.started[role]}"
        hasty = role == "producer" and slot % 2 == 1
        settings: dict[str, Any] = {
            "flock": terms.flock, "url": self._arena.proxy.url, "seed": terms.seed, "lease_s": terms.lease_s,
            "patience_s": HASTE_S if hasty else terms.patience_s, "options": terms.options,
            "grace_s": terms.grace_s, "lines": terms.lines, "rate": terms.rate, "keys": terms.keys,
            "shards": terms.shards,
            "acts": terms.acts, "outside": str(terms.directory / "outside"),
            "journal": str(terms.directory / f"{name}.journal"),
        }  # fmt: skip
        return await self._nursery.start(name, "work" if role == "worker" else "produce", settings)

    async def _watch(self, role: str, slot: int, child: Child) -> None:
        await child.gone.wait()
        self._judge(child)
        if role not in self._ending:
            await asyncio.sleep(self._draw.uniform(0.0, 0.5))
        if role not in self._ending:
            await self._keep(role, slot)

    def _judge(self, child: Child) -> None:
        # A command may kill the worker that handles it: nobody else sends that signal.
        if child.name not in self._expected and child.status != -signal.SIGKILL:
            self.troubles.append(f"{child.name} ended by itself, with status {child.status}: see {child.name}.log")

    async def _strike(self, fault: Fault) -> None:
        self.struck[fault.kind] += 1
        name = "_" + fault.kind.replace(" ", "_")
        strike: Callable[[Fault], Awaitable[str]] = getattr(self, name, self._strike_server)
        try:
            done = await strike(fault)
        except AssertionError as error:
            self.troubles.append(f"the fault {fault} could not be carried out: {error}")
            return
        self._tell(f"{fault.at_s:7.2f} s  {fault.kind}: {done}")

    async def _strike_server(self, fault: Fault) -> str:
        return await self._arena.strike(fault.kind, fault.length_s)

    def _one_of(self, children: list[Child | None], slot: int) -> Child | None:
        return children[slot % len(children)]

    async def _kill_worker(self, fault: Fault) -> str:
        return self._kill(self._one_of(self._workers, fault.slot))

    async def _kill_producer(self, fault: Fault) -> str:
        return self._kill(self._one_of(self._producers, fault.slot))

    async def _kill_fleet(self, fault: Fault) -> str:
        return ", ".join(self._kill(child) for child in self._workers)

    def _kill(self, child: Child | None) -> str:
        return child.name if child is not None and child.signal(signal.SIGKILL) else "nobody was there"

    async def _freeze_worker(self, fault: Fault) -> str:
        child = self._one_of(self._workers, fault.slot)
        if child is None or not child.signal(signal.SIGSTOP):
            return "nobody was there"
        await asyncio.sleep(fault.length_s)
        child.signal(signal.SIGCONT)
        return f"{child.name} for {fault.length_s:.1f} s"

    async def _stop_worker(self, fault: Fault) -> str:
        child = self._one_of(self._workers, fault.slot)
        if child is None or child.gone.is_set() or not child.ready.is_set():
            return "nobody was there"
        await self._stop(child)
        return child.name

    async def _stop(self, child: Child) -> None:
        """SIGTERM, and what a good end is."""
        if child.gone.is_set():
            return
        if not child.ready.is_set():  # it may not yet have said what SIGTERM is to do
            await self._is_ready(child)
        self._expected.add(child.name)
        child.signal(signal.SIGCONT)
        child.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.terms.grace_s + self.terms.patience_s + STOP_MARGIN_S):
                await child.gone.wait()
        except TimeoutError:
            self.troubles.append(f"{child.name} did not stop when it was told to")
            child.signal(signal.SIGKILL)
            await child.gone.wait()
        if child.status not in (0, -signal.SIGKILL):
            self.troubles.append(f"{child.name} was told to stop, and ended with status {child.status}")

    async def _add_worker(self, fault: Fault) -> str:
        child = await self._start("worker", "x", fault.slot)
        await self._is_ready(child)
        try:
            async with asyncio.timeout(fault.length_s):
                await child.gone.wait()
            self._judge(child)
        except TimeoutError:
            await self._stop(child)
        return f"{child.name} for {fault.length_s:.1f} s"

    async def _retry_parked(self, fault: Fault) -> str:
        try:
            async with open_flock(self.terms, self._arena) as flock:
                return f"{await retry_halted(flock)} deliveries"
        except RoostError as error:  # the server is away just now
            return f"not possible: {error}"

    async def _outage(self, fault: Fault) -> str:
        flag(self.terms.directory, OUTAGE)
        await asyncio.sleep(fault.length_s)
        flag(self.terms.directory, OUTAGE, up=False)
        return f"for {fault.length_s:.1f} s"

    async def _cut_connections(self, fault: Fault) -> str:
        return f"{self._arena.proxy.cut(lambda: self._draw.random() < 0.5)} connections"

    async def _lose_replies(self, fault: Fault) -> str:
        for number in range(fault.count):
            self._arena.proxy.lose_reply(_is_script, nth=1 + fault.slot % 7 + number)
        return f"{fault.count} replies of scripts"

    async def _lose_requests(self, fault: Fault) -> str:
        self._arena.proxy.lose_request(_is_script, nth=1 + fault.slot % 7)
        return "1 request of a script"

    async def _delay_replies(self, fault: Fault) -> str:
        self._arena.proxy.delay = 0.02 * fault.count
        await asyncio.sleep(fault.length_s)
        self._arena.proxy.delay = 0.0
        return f"by {20 * fault.count} ms, for {fault.length_s:.1f} s"

    async def _stall_network(self, fault: Fault) -> str:
        self._arena.proxy.stall()
        await asyncio.sleep(fault.length_s)
        self._arena.proxy.resume()
        return f"for {fault.length_s:.1f} s"


def _is_script(request: list[bytes]) -> bool:
    return request[0].upper().startswith((b"EVAL", b"XREADGROUP"))


def open_flock(terms: Terms, arena: Arena) -> AbstractAsyncContextManager[Flock]:
    """For a person who looks at it, and for the checker."""
    lease = timedelta(seconds=terms.lease_s)
    return Flock.open(
        terms.flock, arena.proxy.url, agent="person", claim_lease=lease, delivery_lease=lease, **terms.options
    )


async def retry_halted(flock: Flock) -> int:
    """A person lets everything that halts its key be tried again; how much there was."""
    parked = [one async for one in flock.dead.list(actor=HALTING)]
    for one in parked:
        await flock.dead.retry(one, by="a person")
    return len(parked)
