"""OpenAI's client, shared: change the import, and what several programs ask alike is asked once.

    python examples/13_openai_client.py

The provider here is a pretended one, so that no key is needed. With yours, leave `http_client` out: all else stays.
"""

from __future__ import annotations

import asyncio
import json

import httpx2

from roost.openai import AsyncOpenAI, reuse_of

QUESTION = "How do barn owls hunt?"


async def provider(request: httpx2.Request) -> httpx2.Response:
    print("the provider is asked")
    await asyncio.sleep(0.05)
    shape = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
    lines: list[str] = []
    for word in ("By ", "ear, ", "at ", "night.", None):
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None if word else "stop"}
        lines.append(f"data: {json.dumps({**shape, 'choices': [choice]})}\n\n")
    lines.append("data: [DONE]\n\n")
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text="".join(lines))


async def ask(name: str, client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-x", messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    words = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
    reuse = reuse_of(stream)
    assert reuse is not None
    print(f"{name}: {''.join(words)} ({reuse.how})")


async def main() -> None:
    http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(provider))
    async with AsyncOpenAI(api_key="none", flock="example-openai", http_client=http_client) as client:
        await asyncio.gather(ask("robin", client), ask("wren", client))
        await ask("finch", client)
        await ask("heron, a second opinion", client.with_options(sample=1))


asyncio.run(main())
