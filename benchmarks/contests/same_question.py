"""Eight tasks in two processes ask a model the same at the same moment; the model takes 200 ms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from benchmarks.contest import Budget, Contest, Contestant
from benchmarks.modules_server import open_modules_server
from benchmarks.place import Place
from benchmarks.process import OWN_PYTHON, Process, open_processes
from benchmarks.sample import Sample

PROCESSES = 2
TASKS = 4
MODEL_S = 0.2
HEAD_START_S = 0.2


async def ask_all(processes: list[Process], key: str) -> tuple[float, float]:
    """Everybody asks. Answers how often the model was called, and the seconds that the slowest waited."""
    request = {"do": "ask", "key": key, "tasks": TASKS, "compute_s": MODEL_S}
    request["at"] = time.monotonic() + HEAD_START_S
    answers = await asyncio.gather(*[process.ask(**request) for process in processes])
    return float(sum(answer["calls"] for answer in answers)), max(answer["slowest_s"] for answer in answers)


async def measure_processes(processes: list[Process]) -> Sample:
    await ask_all(processes, "a question before, so that all are connected")
    calls, slowest_s = await ask_all(processes, "the question")
    again, _ = await ask_all(processes, "the question")
    return Sample(calls, facts={"slowest caller ms": slowest_s * 1000, "calls when asked again": again})


async def measure_roost(place: Place) -> Sample:
    asker = "benchmarks.programs.once_asker"
    async with open_processes(PROCESSES, OWN_PYTHON, asker, place.url, place.fresh_name()) as processes:
        return await measure_processes(processes)


async def measure_peer(place: Place, *, module: str, needs_modules: bool = False) -> Sample:
    directory = place.scratch / place.fresh_name()
    directory.mkdir()
    if needs_modules:
        async with open_modules_server(place) as url:
            return await _measure_at(place, module, url, str(directory))
    return await _measure_at(place, module, place.url, str(directory))


async def _measure_at(place: Place, module: str, url: str, directory: str) -> Sample:
    asker = f"benchmarks.peers.{module}"
    async with open_processes(PROCESSES, place.peers_python, asker, url, directory) as processes:
        return await measure_processes(processes)


def peer(module: str, *, needs_modules: bool = False) -> Callable[[Place], Awaitable[Sample]]:
    return partial(measure_peer, module=module, needs_modules=needs_modules)


SAME_QUESTION = Contest(
    name="question",
    title="8 tasks in 2 processes ask the same, the model takes 200 ms: calls of the model",
    unit="calls",
    contestants=(
        Contestant("Roost, once", measure_roost),
        Contestant("langchain-redis, RedisCache", peer("langchain_asker", needs_modules=True)),
        Contestant("LangGraph, CachePolicy with RedisCache", peer("langgraph_asker")),
        Contestant("betterdb-agent-cache, llm.check and store", peer("betterdb_asker")),
        Contestant("GPTCache, get and put", peer("gptcache_asker")),
        Contestant("diskcache, memoize", peer("diskcache_memoize_asker")),
        Contestant("diskcache, memoize_stampede", peer("diskcache_stampede_asker")),
        Contestant("diskcache, barrier with Lock", peer("diskcache_barrier_asker")),
    ),
    budgets=(Budget("Roost, once", "at most", 1.0),),
)
