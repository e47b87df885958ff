"""The model that is asked, and the two ways in which programs ask it: as coroutines, and in threads.

An asker runs with two arguments: the server's URL, and a directory that both processes share.
"""

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from benchmarks.console import Console, on_loop

URL, DIRECTORY = sys.argv[1:3]


class Model:
    """Takes its time, and counts how often it is called."""

    def __init__(self):
        self.calls = 0
        self.seconds = 0.2
        self._lock = Lock()

    async def think(self, question):
        self.count()
        await asyncio.sleep(self.seconds)
        return f"the answer to {question}"

    def think_in_thread(self, question):
        self.count()
        time.sleep(self.seconds)
        return f"the answer to {question}"

    def count(self):
        with self._lock:
            self.calls += 1


model = Model()


def serve_coroutines(ask):
    """`ask` is a coroutine function that takes the question."""

    async def serve():
        async def one(request):
            await asyncio.sleep(max(0.0, request["at"] - time.monotonic()))
            began = time.monotonic()
            await ask(request["key"])
            return time.monotonic() - began

        async def all_of(request):
            before, model.seconds = model.calls, request["compute_s"]
            waited = await asyncio.gather(*[one(request) for _ in range(request["tasks"])])
            return {"calls": model.calls - before, "slowest_s": max(waited)}

        Console(ask=on_loop(asyncio.get_running_loop(), all_of)).start()
        await asyncio.Event().wait()

    asyncio.run(serve())


def serve_threads(ask):
    """`ask` is a function that takes the question."""

    def one(request):
        time.sleep(max(0.0, request["at"] - time.monotonic()))
        began = time.monotonic()
        ask(request["key"])
        return time.monotonic() - began

    def all_of(request):
        before, model.seconds = model.calls, request["compute_s"]
        with ThreadPoolExecutor(request["tasks"]) as pool:
            waited = list(pool.map(one, [request] * request["tasks"]))
        return {"calls": model.calls - before, "slowest_s": max(waited)}

    Console(ask=all_of).serve()
