"""A small server that speaks OpenAI's protocol, counts what it is asked and fails on demand.

In a test, in this process:      `async with FakeOpenAI(latency=timedelta(milliseconds=50)) as server: server.base_url`
In a process of its own:         `with run_fake_openai("--latency-ms", "50") as base_url:`
By hand, printing its port:      `PYTHONPATH=tests/support python -m roost_tests.fake_openai --port 8080 --fail busy:2`

It needs only the standard library. Its answers are made of the request alone: the first sentence of each document,
followed by the document's label. `GET /calls` tells what it was asked: calls, answered, distinct, most_at_once.
Completions, responses and embeddings are answered too (see fake_answers.py), and `GET /models` and `POST /files`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from .fake_answers import (
    events_of_chat,
    events_of_response,
    events_of_text,
    make_embeddings,
    make_response,
    make_text_completion,
    send_slowly,
)

DOCUMENT = re.compile(r"<(document-[0-9a-f]+) label=(\"(?:[^\"\\]|\\.)*\")>\n(.*?)\n</\1>", re.DOTALL)
SENTENCE_END = re.compile(r"(?<=[.!?])\s")
SUPPORT = Path(__file__).parent.parent
KEPT_REQUESTS = 1000
LONG = f"{'owl' * 1000} " * 1000
ENDPOINTS = ("/completions", "/responses", "/embeddings")
STATUS_TEXT = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}

FAILURES = {
    "busy": "429 with Retry-After",
    "quota": "429, no credit left",
    "key": "401, quoting the key that was sent",
    "forbidden": "403",
    "model": "404, no such model",
    "request": "400",
    "error": "500",
    "overloaded": "503 with Retry-After",
    "hang": "never an answer",
    "drip": "blanks for ever, one at a time",
    "drop": "the connection is closed instead",
    "empty": "an answer of white space",
    "cut": "an answer that was cut off by its length",
    "filter": "an answer that a content filter withheld",
    "refusal": "a refusal by the model",
    "no-choice": "no choices",
    "no-usage": "no usage",
    "garbage": "a body that is not JSON, though it says so",
    "page": "a web page",
    "inside": "200 with an error inside, as gateways do",
    "strange": "JSON that is not a chat completion",
    "break": "a stream that ends in the middle",
    "stall": "a stream that goes on no further than its middle",
    "error-inside": "a stream that tells of an error in its middle",
    "no-done": "a stream without its [DONE]",
    "endless": "a stream that never ends",
    "linger": "a stream after whose [DONE] the connection stays open",
    "tool": "a call of a tool",
    "long": "an answer of three million letters",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A way to fail, one of `FAILURES`, for the first `times` calls; for ever when None."""

    kind: str
    times: int | None = None

    @classmethod
    def parse(cls, text: str) -> Failure:
        """From `kind` or `kind:times`."""
        kind, _, times = text.partition(":")
        if kind not in FAILURES or (times and not times.isdigit()):
            raise ValueError(f"{text!r} is no failure: use one of {', '.join(FAILURES)}, with :TIMES or without")
        return cls(kind, int(times) if times else None)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    chunks: AsyncIterator[bytes] | None = None


class FakeOpenAI:
    """The server. `requests` are the last thousand bodies it got, oldest first; `keys` what they were sent with."""

    def __init__(
        self,
        *,
        port: int = 0,
        latency: timedelta = timedelta(0),
        failures: tuple[Failure, ...] = (),
        retry_after: Mapping[str, str] | None = None,
        key: str | None = None,
        cached_tokens: int = 0,
        pause: timedelta = timedelta(0),
    ) -> None:
        self._pause_s = pause.total_seconds()
        self._port = port
        self._latency_s = latency.total_seconds()
        self._failures = failures
        self._retry_after = {"retry-after": "1"} if retry_after is None else dict(retry_after)
        self._key = key
        self._cached_tokens = cached_tokens
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._bodies: set[str] = set()
        self._at_once = 0
        self.requests: deque[dict[str, Any]] = deque(maxlen=KEPT_REQUESTS)
        self.bodies: deque[bytes] = deque(maxlen=KEPT_REQUESTS)
        self.headers: deque[dict[str, str]] = deque(maxlen=KEPT_REQUESTS)
        self.paths: deque[str] = deque(maxlen=KEPT_REQUESTS)
        self.cut_off = 0
        """Streams whose client went away before their end."""
        self.keys: deque[str] = deque(maxlen=KEPT_REQUESTS)
        self.times: deque[float] = deque(maxlen=KEPT_REQUESTS)
        """When they came, by the monotonic clock, in seconds."""
        self.calls = 0
        self.answered = 0
        self.most_at_once = 0

    @property
    def port(self) -> int:
        return self._port

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def distinct(self) -> int:
        """How many different bodies it was sent: as many as `calls` when nothing was asked twice."""
        return len(self._bodies)

    async def __aenter__(self) -> FakeOpenAI:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away: its right
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request on a connection that is kept; False when it is to be closed."""
        method, path, headers = await _read_head(reader)
        if not method:
            return False
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.paths.append(f"{method} {path}")
        if method == "POST" and path.partition("?")[0].endswith(ENDPOINTS):
            self.headers.append(headers)
            self.bodies.append(body)
            key = headers.get("authorization", "").removeprefix("Bearer ")
            found = await self._complete(path.partition("?")[0].rpartition("/")[2], body, key)
        elif method == "GET" and path.endswith("/models"):
            found = _json(200, {"object": "list", "data": [{"id": "gpt-x", "object": "model", "created": 1}]})
        elif method == "POST" and path.endswith("/files"):
            found = _json(
                200, {"id": "file-1", "object": "file", "bytes": len(body), "filename": "a", "purpose": "batch"}
            )
        elif method == "GET" and path == "/calls":
            facts = {name: getattr(self, name) for name in ("calls", "answered", "distinct", "most_at_once")}
            found = _json(200, facts)
        else:
            found = _error(404, f"there is no {method} {path}", "not_found")
        if found is None:
            return False
        writer.write(_head(found) + found.body)
        await writer.drain()
        if found.chunks is None:
            return True
        try:
            async for chunk in found.chunks:
                writer.write(chunk)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            self.cut_off += 1
            raise
        return False

    async def _complete(self, endpoint: str, body: bytes, key: str) -> Reply | None:
        self.calls += 1
        self.times.append(time.monotonic())
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self._bodies.add(hashlib.blake2b(body, digest_size=16).hexdigest())
        self.keys.append(key)
        try:
            request: dict[str, Any] = json.loads(body)
            self.requests.append(request)
            failure = self._failure_of(self.calls)
            if self._key is not None and key != self._key:
                failure = "key"
            if failure == "hang":
                await asyncio.Event().wait()
            await asyncio.sleep(self._latency_s)
            if failure == "drop":
                return None
            if failure and (failed := self._fail(failure, key)):
                return failed
            self.answered += 1
            return self._answer(endpoint, request, failure, is_chat=b'"messages"' in body)
        finally:
            self._at_once -= 1

    def _answer(self, endpoint: str, request: dict[str, Any], failure: str | None, *, is_chat: bool) -> Reply:
        if endpoint == "embeddings":
            return _json(200, make_embeddings(request))
        if endpoint == "responses":
            answer = make_response(request, self.calls, failure)
            events = events_of_response(answer)
        elif is_chat:
            answer = self._completion(request, failure)
            events = events_of_chat(request, answer)
        else:
            answer = make_text_completion(request, self.calls)
            events = events_of_text(answer)
        if not request.get("stream"):
            return _json(200, answer, (("x-request-id", f"req-{self.calls}"), ("set-cookie", f"session={self.calls}")))
        if failure == "no-done":
            events = events[:-1]
        return Reply(200, b"", "text/event-stream", chunks=send_slowly(events, self._pause_s, failure))

    def _failure_of(self, call: int) -> str | None:
        """Failures follow one another: `busy:2` and `error:1` are two 429s, then a 500, then answers."""
        before = 0
        for failure in self._failures:
            if failure.times is None or call <= before + failure.times:
                return failure.kind
            before += failure.times
        return None

    def _fail(self, kind: str, key: str) -> Reply | None:
        wait = tuple(self._retry_after.items())
        replies = {
            "busy": _error(429, "Rate limit reached", "rate_limit_exceeded", headers=wait),
            "quota": _error(429, "You exceeded your current quota", "insufficient_quota"),
            "key": _error(401, f"Incorrect API key provided: {key}.", "invalid_api_key"),
            "forbidden": _error(403, f"The key {key} may not use this model", "forbidden"),
            "model": _error(404, "The model does not exist", "model_not_found"),
            "request": _error(400, "This model's maximum context length is 8 tokens", "context_length_exceeded"),
            "error": _error(500, "The server had an error\nand fell over", "server_error"),
            "overloaded": _error(503, "Overloaded", "server_error", headers=wait),
            "garbage": Reply(200, b'{"id": "chatcmpl-1", "choices": [{"mess'),
            "page": Reply(200, b"<html><body>Welcome to nginx!</body></html>", "text/html"),
            "drip": Reply(200, b"", chunks=_drip()),
            "inside": _json(200, {"error": {"message": "Provider returned error", "code": 502}}),
            "strange": _json(200, {"hello": "world"}),
        }
        return replies.get(kind)

    def _completion(self, request: dict[str, Any], failure: str | None) -> dict[str, Any]:
        texts = [str(message["content"]) for message in request["messages"]]
        answers = {"empty": "  \n", "filter": "", "refusal": None, "tool": None}
        answers["long"] = LONG
        answer = answers.get(failure or "", answer_to(texts[-1]))
        message: dict[str, Any] = {
            "role": "assistant",
            "content": answer,
            "refusal": "I cannot." if failure == "refusal" else None,
        }
        reason = {"cut": "length", "filter": "content_filter", "tool": "tool_calls"}.get(failure or "", "stop")
        if failure == "tool":
            called = {"name": request["tools"][0]["function"]["name"], "arguments": '{"city": "Oslo"}'}
            message["tool_calls"] = [{"id": f"call_{self.calls}", "type": "function", "function": called}]
        sent, received = len(" ".join(texts).split()), len((answer or "").split())
        completion: dict[str, Any] = {
            "id": f"chatcmpl-{self.calls}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": f"{request['model']}-2026-01-01",
            "choices": [
                {"index": index, "message": message, "finish_reason": reason, "logprobs": None}
                for index in range(request.get("n") or 1)
            ],
            "usage": {
                "prompt_tokens": sent,
                "completion_tokens": received,
                "total_tokens": sent + received,
                "prompt_tokens_details": {"cached_tokens": min(self._cached_tokens, sent)},
            },
        }
        if failure == "no-usage":
            del completion["usage"]
        if failure == "no-choice":
            completion["choices"] = []
        return completion


def answer_to(message: str) -> str:
    """The first sentence of each document in the message, with its label; without documents, of the message."""
    documents = [(json.loads(label), text) for _, label, text in DOCUMENT.findall(message)]
    if not documents:
        return f"You said: {_first_sentence(message)}"
    return " ".join(f"{_first_sentence(text)} {label}".strip() for label, text in documents)


def _first_sentence(text: str) -> str:
    return SENTENCE_END.split(text.strip(), maxsplit=1)[0][:300].strip()


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    """Method, path and headers with names in lower case; empty when the client has closed."""
    line = (await reader.readline()).decode("latin-1")
    if not line.strip():
        return "", "", {}
    method, path, _ = line.split(" ", 2)
    headers: dict[str, str] = {}
    while (line := (await reader.readline()).decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return method, path, headers


def _head(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {STATUS_TEXT.get(reply.status, 'Error')}", f"content-type: {reply.content_type}"]
    lines += ["connection: close"] if reply.chunks else [f"content-length: {len(reply.body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _json(status: int, body: object, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, json.dumps(body).encode(), headers=headers)


def _error(status: int, message: str, code: str, *, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return _json(status, {"error": {"message": message, "type": code, "code": code, "param": None}}, headers)


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.02)


@contextlib.contextmanager
def run_fake_openai(*options: str) -> Generator[str]:
    """Its base URL, while it runs in a process of its own with these options of the command line."""
    command = [sys.executable, "-m", "roost_tests.fake_openai", *options]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.terminate()
        process.communicate()


async def _run(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = FakeOpenAI(
        port=options.port,
        latency=timedelta(milliseconds=options.latency_ms),
        failures=tuple(options.fail),
        retry_after={"retry-after": options.retry_after},
        key=options.key,
        cached_tokens=options.cached_tokens,
        pause=timedelta(milliseconds=options.pause_ms),
    )
    async with server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake OpenAI server. Prints its port; ends on SIGTERM.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--fail", type=Failure.parse, action="append", default=[], metavar="KIND[:TIMES]")
    parser.add_argument("--retry-after", default="1", help="what a 429 or 503 asks for, in seconds or as a date")
    parser.add_argument("--key", help="any other key is answered 401")
    parser.add_argument("--cached-tokens", type=int, default=0)
    parser.add_argument("--pause-ms", type=float, default=0, help="between two events of a stream")
    parser.epilog = "; ".join(f"{kind}: {what}" for kind, what in FAILURES.items())
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
