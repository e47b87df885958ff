"""The lifeline: what a child process of `Processes` has in place of standard input. It ends when the parent does."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from datetime import timedelta

MAX_WORD = 1000


class Lifeline:
    """The child's end. A process that was not started by `Processes` has one that does nothing."""

    def __init__(self, channel: socket.socket | None) -> None:
        self._channel = channel

    @classmethod
    def take(cls) -> Lifeline:
        """To be called once, before anything else reads standard input, which is empty from then on."""
        if not stat.S_ISSOCK(os.fstat(0).st_mode):
            return cls(None)
        channel = socket.socket(fileno=os.dup(0))
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)  # so that neither a handler nor a program that it starts takes hold of the lifeline
        os.close(nowhere)
        return cls(channel)

    def say_ready(self, word: str) -> None:
        """Tell the parent that the work has begun. `word` is one line for people."""
        if self._channel is not None:
            try:
                self._channel.sendall(" ".join(word.split())[:MAX_WORD].encode() + b"\n")
            except OSError:
                return  # the parent has gone: that is what the watch is for

    def watch(self, grace: timedelta) -> None:
        """When the parent has gone, SIGTERM to this process; if it has not ended after `grace`, the end of it."""
        channel = self._channel
        if channel is None:
            return

        def wait() -> None:
            try:
                while channel.recv(1024):
                    pass
            except OSError:
                pass  # reset: gone as well
            os.kill(os.getpid(), signal.SIGTERM)
            # A thread of its own, because the event loop may be blocked: nobody else is left to end this process.
            threading.Event().wait(grace.total_seconds())
            os._exit(1)

        threading.Thread(target=wait, name="roost lifeline", daemon=True).start()
