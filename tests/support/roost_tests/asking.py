"""Asking a fake provider through the client: what tests of `roost.openai` have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import openai
from openai.types.chat import ChatCompletion

from .fake_openai import FakeOpenAI

QUESTION = "Barn owls hunt by ear. They see well, too."
ANSWER = "You said: Barn owls hunt by ear."
KEY = "sk-proj-verysecret0123456789"

StartProvider = Callable[..., Awaitable[FakeOpenAI]]
MakeClient = Callable[..., Any]


async def ask(client: openai.AsyncOpenAI, text: str = QUESTION, **more: Any) -> ChatCompletion:
    given: dict[str, Any] = {"model": "gpt-x", "messages": [{"role": "user", "content": text}], **more}
    return cast("ChatCompletion", await cast("Any", client.chat.completions).create(**given))


async def open_stream(client: openai.AsyncOpenAI, text: str = QUESTION, **more: Any) -> Any:
    """A stream of chunks."""
    given: dict[str, Any] = {"model": "gpt-x", "messages": [{"role": "user", "content": text}], **more}
    return await client.chat.completions.create(stream=True, **given)


async def read_stream(client: openai.AsyncOpenAI, text: str = QUESTION, **more: Any) -> tuple[str, Any]:
    """What a stream says, and the stream."""
    stream = await open_stream(client, text, **more)
    return "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices]), stream


async def read_bytes(client: openai.AsyncOpenAI, text: str = QUESTION, **more: Any) -> bytes:
    """The very bytes of a streamed answer."""
    given: dict[str, Any] = {"model": "gpt-x", "messages": [{"role": "user", "content": text}], **more}
    async with client.chat.completions.with_streaming_response.create(stream=True, **given) as response:
        return b"".join([piece async for piece in response.iter_bytes()])


def text_of(completion: ChatCompletion) -> str | None:
    return completion.choices[0].message.content


async def gather(*asking: Awaitable[Any]) -> list[Any]:
    return list(await asyncio.gather(*asking))
