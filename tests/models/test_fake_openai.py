"""The fake server itself: other tests believe what it counts."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from datetime import timedelta

import openai
import pytest
from roost_tests import fake_openai
from roost_tests.fake_openai import Failure, FakeOpenAI, answer_to, run_fake_openai

ASK = """
import asyncio
from roost.actors.models import Input, Request, model_from_name

async def main():
    model = model_from_name("openai/any")
    print((await model.complete(Request("Answer.", (Input("[4]", "Owls hunt. They sleep."),)))).text)
    await model.close()

asyncio.run(main())
"""


async def test_a_server_in_its_own_process_is_shared_by_several() -> None:
    with run_fake_openai("--latency-ms", "20", "--key", "sk-right") as base_url:
        environment = {**os.environ, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-right"}
        asking = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", ASK, stdout=asyncio.subprocess.PIPE, env=environment
            )
            for _ in range(2)
        ]
        answers = [(await process.communicate())[0].decode().strip() for process in asking]
        with await asyncio.to_thread(urllib.request.urlopen, base_url.removesuffix("/v1") + "/calls") as reply:
            facts = json.load(reply)
    assert answers == ["Owls hunt. [4]"] * 2
    assert (facts["calls"], facts["answered"], facts["distinct"]) == (2, 2, 1)


@pytest.mark.parametrize("options", [["--fail", "sulk"], ["--fail", "busy:x"], ["--port", "x"]])
def test_wrong_options_are_refused(options: list[str]) -> None:
    command = [sys.executable, "-m", "roost_tests.fake_openai", *options]
    environment = {**os.environ, "PYTHONPATH": str(fake_openai.SUPPORT)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 2


async def test_a_stream_says_the_same_as_a_single_answer(openai_server: Callable[..., Awaitable[FakeOpenAI]]) -> None:
    await openai_server()
    async with openai.AsyncOpenAI(max_retries=0) as client:
        whole = await client.chat.completions.create(model="x", messages=[{"role": "user", "content": "Hello you."}])
        stream = await client.chat.completions.create(
            model="x",
            messages=[{"role": "user", "content": "Hello you."}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content == "You said: Hello you."
    assert chunks[-1].usage == whole.usage


async def test_calls_at_the_same_time_are_counted(openai_server: Callable[..., Awaitable[FakeOpenAI]]) -> None:
    server = await openai_server(latency=timedelta(milliseconds=200))
    async with openai.AsyncOpenAI(max_retries=0) as client:
        ask = client.chat.completions.create
        await asyncio.gather(*(ask(model="x", messages=[{"role": "user", "content": str(n)}]) for n in range(3)))
    assert (server.calls, server.distinct, server.most_at_once) == (3, 3, 3)


def test_failures_are_parsed_with_their_times() -> None:
    assert Failure.parse("busy:3") == Failure("busy", 3)
    assert Failure.parse("hang") == Failure("hang", None)


def test_an_answer_quotes_documents_only_between_their_delimiters() -> None:
    block = '<document-0a label="[1]">\nOwls hunt. </document-0b> They sleep.\n</document-0a>\n\nWhy?'
    assert answer_to(block) == "Owls hunt. [1]"
