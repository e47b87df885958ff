"""Measures the time that a stretch of work takes: by the clock, and of the processors."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.place import Place

US = 1_000_000


@dataclass(slots=True)
class Meter:
    """Seconds since `begin`, and the CPU seconds of this process and of the server."""

    place: Place
    began: float = 0.0
    client_began: float = 0.0
    server_began: float = 0.0
    seconds: float = 0.0
    client_s: float = 0.0
    server_s: float = 0.0

    async def begin(self) -> None:
        self.server_began = await self.place.server_cpu_s()
        self.client_began = time.process_time()
        self.began = time.perf_counter()

    async def end(self) -> None:
        self.seconds = time.perf_counter() - self.began
        self.client_s = time.process_time() - self.client_began
        self.server_s = await self.place.server_cpu_s() - self.server_began

    def client_us(self, operations: int) -> float:
        return self.client_s / operations * US

    def server_us(self, operations: int) -> float:
        return self.server_s / operations * US
