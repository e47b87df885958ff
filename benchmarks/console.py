"""The far end of a measured process: it answers requests on standard input, a line of JSON each, on standard output.

The libraries of peers know nothing of it: it works in a thread, which waits for a line and costs nothing meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

Answer = dict[str, Any]
Request = dict[str, Any]


class Console:
    """`answers` maps what may be asked to the function that answers; each answer has the CPU seconds used so far."""

    def __init__(self, **answers: Callable[[Request], Answer]) -> None:
        self._answers = answers
        # What a library prints must not stand between the answers.
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def start(self) -> None:
        """Say that this process is ready, and answer in the background until standard input ends; then exit."""
        self._say({"ready": True})
        threading.Thread(target=self._serve, name="console", daemon=True).start()

    def serve(self) -> None:
        """The same, in the thread that calls."""
        self._say({"ready": True})
        self._serve()

    def _serve(self) -> None:
        for line in sys.stdin:
            request: Request = json.loads(line)
            try:
                answer = self._answers[request["do"]](request)
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            self._say(answer)
        os._exit(0)  # whatever the library would still do at its end is not measured

    def _say(self, answer: Answer) -> None:
        self._out.write(json.dumps(answer | {"cpu_s": time.process_time()}) + "\n")


class Tally:
    """Counts what a worker has handled."""

    def __init__(self) -> None:
        self.handled = 0

    def add(self, number: int = 1) -> None:
        self.handled += number

    def answer(self, _: Request) -> Answer:
        return {"handled": self.handled}


def on_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[[Request], Awaitable[Answer]]
) -> Callable[[Request], Answer]:
    """Lets a coroutine answer, on the loop of the main thread."""

    async def answer(request: Request) -> Answer:
        return await function(request)

    return lambda request: asyncio.run_coroutine_threadsafe(answer(request), loop).result()
