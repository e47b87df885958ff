"""All that the official client can do, with the same bytes on the wire."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, cast

import httpx2
import openai
import pytest
from pydantic import BaseModel
from roost_tests.asking import ANSWER, KEY, QUESTION, MakeClient, StartProvider, ask, text_of
from roost_tests.crew import events_of
from roost_tests.fake_openai import Failure

import roost.openai
from roost.actors import Flock
from roost.adapters.openai.official import ClientOptions, CopyOptions
from roost.openai import AsyncOpenAI, reuse_of

USER: Any = [{"role": "user", "content": QUESTION}]
INPUT = "What do owls hear?"
FUNCTION: Any = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


class Owl(BaseModel):
    name: str


async def drain(stream: AsyncIterable[Any]) -> list[Any]:
    return [each async for each in stream]


async def stream_response(client: openai.AsyncOpenAI) -> Any:
    return await drain(await client.responses.create(model="gpt-x", input=INPUT, stream=True))


async def stream_text(client: openai.AsyncOpenAI) -> Any:
    return await drain(await client.completions.create(model="gpt-x", prompt="abc def", stream=True))


async def stream_events(client: openai.AsyncOpenAI) -> Any:
    async with client.chat.completions.stream(model="gpt-x", messages=USER) as stream:
        await drain(stream)
        return (await stream.get_final_completion()).choices[0].message.content


async def stream_response_events(client: openai.AsyncOpenAI) -> Any:
    async with client.responses.stream(model="gpt-x", input=INPUT) as stream:
        await drain(stream)
        return (await stream.get_final_response()).output_text


async def stream_raw_lines(client: openai.AsyncOpenAI) -> Any:
    async with client.chat.completions.with_streaming_response.create(model="gpt-x", messages=USER) as response:
        return json.loads("".join([line async for line in response.iter_lines()]))["choices"]


OPERATIONS: dict[str, Callable[[openai.AsyncOpenAI], Awaitable[Any]]] = {
    "chat": lambda client: client.chat.completions.create(model="gpt-x", messages=USER),
    "chat with all kinds of letters": lambda client: client.chat.completions.create(
        model="gpt-x", messages=[{"role": "user", "content": 'Grüße, 梟 \u2028 "owls" \\ 🦉'}], temperature=0.1, seed=1
    ),
    "chat stream helper": stream_events,
    "chat raw lines": stream_raw_lines,
    "completion": lambda client: client.completions.create(model="gpt-x", prompt="abc def"),
    "completion stream": stream_text,
    "response": lambda client: client.responses.create(model="gpt-x", input=INPUT),
    "response with a function": lambda client: client.responses.create(model="gpt-x", input=INPUT, tools=[FUNCTION]),
    "response stream": stream_response,
    "response stream helper": stream_response_events,
    "embedding": lambda client: client.embeddings.create(model="emb-x", input="owl"),
    "embeddings": lambda client: client.embeddings.create(model="emb-x", input=["owl", "wren"]),
    "embedding as numbers": lambda client: client.embeddings.create(
        model="emb-x", input=[1, 2, 3], encoding_format="float"
    ),
}


def bare(answer: Any) -> Any:
    """Without what tells of its cost, and of which call it was."""
    if isinstance(answer, BaseModel):
        return bare(answer.model_dump())
    if isinstance(answer, dict):
        found = cast("dict[str, Any]", answer)
        return {name: bare(value) for name, value in found.items() if name not in ("usage", "roost")}
    if isinstance(answer, list):
        return [bare(each) for each in cast("list[object]", answer)]
    return re.sub(r"^([a-z]+[_-])\d+$", r"\1N", answer) if isinstance(answer, str) else answer


@pytest.mark.parametrize("name", OPERATIONS)
async def test_every_way_of_asking_is_shared_and_sends_the_very_bytes_of_the_official_client(
    name: str, provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider()
    operate = OPERATIONS[name]
    expected = await operate(make_client(server, flock=None))
    first, again = await operate(make_client(server)), await operate(make_client(server))
    assert server.calls == 2
    assert server.bodies[0] == server.bodies[1]
    assert server.headers[0] == server.headers[1]
    assert server.paths[0] == server.paths[1]
    assert bare(first) == bare(expected)
    assert bare(again) == bare(first)


async def test_known_embeddings_are_the_same_numbers(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider()
    client = make_client(server)
    first = await client.embeddings.create(model="emb-x", input=["owl", "a wren"])
    again = await client.embeddings.create(model="emb-x", input=["owl", "a wren"])
    assert [one.embedding for one in first.data] == [one.embedding for one in again.data]
    assert first.data[0].embedding == [ord(letter) / 128 for letter in "owl"]
    assert (server.calls, first.usage.total_tokens, again.usage.total_tokens) == (1, 3, 0)
    reuse = reuse_of(again)
    assert reuse is not None
    assert reuse.usage == {"prompt_tokens": 3, "total_tokens": 3}


async def test_a_known_response_has_a_usage_of_zero_in_both_forms(
    provider: StartProvider, make_client: MakeClient
) -> None:
    client = make_client(await provider())
    for _ in range(2):
        await client.responses.create(model="gpt-x", input=INPUT)
        await stream_response(client)
    answer = await client.responses.create(model="gpt-x", input=INPUT)
    last = (await stream_response(client))[-1].response
    assert answer.usage is not None
    assert (answer.usage.total_tokens, answer.usage.input_tokens_details.cached_tokens) == (0, 0)
    whole, streamed = reuse_of(answer), reuse_of(last)
    assert whole is not None
    assert streamed is not None
    assert whole.usage is not None
    assert whole.usage["total_tokens"] == 10
    assert (streamed.usage, last.usage.total_tokens) == (whole.usage, 0)


async def test_parsed_answers_are_shared(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider()
    client = make_client(server)
    for _ in range(2):
        with pytest.raises(ValueError, match="Owl"):  # the fake provider answers with plain words
            await client.chat.completions.parse(model="gpt-x", messages=USER, response_format=Owl)
    assert server.calls == 1


@pytest.mark.parametrize(
    "change",
    [
        {"conversation": "conv_1"},
        {"background": True},
        {"prompt": {"id": "pmpt_1"}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [FUNCTION, {"type": "code_interpreter", "container": {"type": "auto"}}]},
        {"tools": [{"type": "mcp", "server_label": "a", "server_url": "https://example.com"}]},
        {"tools": [{"type": "image_generation"}]},
    ],
    ids=str,
)
async def test_responses_that_look_at_the_world_or_change_it_are_not_shared(
    change: dict[str, Any], provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider()
    client = make_client(server)
    for _ in range(2):
        await client.responses.create(model="gpt-x", input=INPUT, **change)
    assert server.calls == 2


async def test_a_response_that_the_provider_stores_is_shared_among_those_of_one_key(
    provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider()
    mine, theirs = make_client(server), make_client(server, api_key="sk-of-another-project")
    for client in (mine, theirs, mine, theirs):
        await client.responses.create(model="gpt-x", input=INPUT)
    assert server.calls == 2
    for client in (mine, theirs):
        await client.responses.create(model="gpt-x", input=INPUT, store=False)
    assert server.calls == 3
    for client in (mine, mine):  # it goes on from where the first answer ended, wherever that is told
        await client.responses.create(model="gpt-x", input=INPUT, previous_response_id="resp_1")
    assert server.calls == 4


async def test_other_endpoints_are_left_alone(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider()
    client = make_client(server)
    for _ in range(2):
        assert [model.id async for model in client.models.list()] == ["gpt-x"]
        assert (await client.files.create(file=b"abc", purpose="batch")).id == "file-1"
    assert list(server.paths) == ["GET /v1/models", "POST /v1/files"] * 2
    assert await events_of(asked_flock) == []


async def test_raw_responses_have_what_programs_read_of_them(provider: StartProvider, make_client: MakeClient) -> None:
    client = make_client(await provider())
    raws = [await client.chat.completions.with_raw_response.create(model="gpt-x", messages=USER) for _ in range(2)]
    first, again = raws
    assert (first.status_code, again.status_code) == (200, 200)
    assert (first.request_id, again.request_id) == ("req-1", "req-1")
    assert again.headers["content-type"] == "application/json"
    assert "set-cookie" in first.headers
    assert "set-cookie" not in again.headers
    assert first.parse().choices == again.parse().choices
    assert again.parse()._request_id == "req-1"
    assert again.elapsed.total_seconds() >= 0
    assert again.http_request.url == first.http_request.url
    assert [reuse.how for raw in raws if (reuse := reuse_of(raw))] == ["computed", "found"]


async def test_a_given_http_client_sends_all_that_is_sent(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider()
    seen: list[str] = []

    async def see(request: httpx2.Request) -> None:
        seen.append(request.url.path)

    async with httpx2.AsyncClient(event_hooks={"request": [see]}, headers={"X-Team": "owls"}) as http_client:
        client = make_client(server, http_client=http_client)
        for _ in range(2):
            assert text_of(await ask(client)) == ANSWER
    assert seen == ["/v1/chat/completions"]
    assert server.headers[0]["x-team"] == "owls"


async def test_options_of_a_call_keep_all_others(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider()
    client = make_client(server, sample=2, timeout=7.0)
    other = client.with_options(max_retries=3).with_options(timeout=5.0, share=False).copy(share=None)
    assert type(other) is AsyncOpenAI
    assert (other.max_retries, other.timeout, other.api_key, other.base_url) == (3, 5.0, KEY, client.base_url)
    await ask(client)
    await ask(other)
    assert server.calls == 1


def names(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self"}


def test_the_options_of_the_official_client_are_all_there() -> None:
    assert set(ClientOptions.__annotations__) == names(openai.AsyncOpenAI.__init__)
    assert set(CopyOptions.__annotations__) == names(openai.AsyncOpenAI.copy)


def test_the_official_client_still_sends_by_the_method_that_is_replaced() -> None:
    assert names(vars(openai.AsyncOpenAI)["_send_request"]) == {"request", "stream", "kwargs"}


def test_the_official_client_still_parses_by_the_method_that_is_replaced() -> None:
    assert {"response", "cast_to"} < names(vars(openai.AsyncOpenAI.__base__)["_process_response"])


def test_names_beside_the_client_are_the_official_ones() -> None:
    for name in set(roost.openai.__all__) - {"AsyncClient", "AsyncOpenAI", "Reuse", "reuse_of"}:
        assert getattr(roost.openai, name) is getattr(openai, name)
    assert roost.openai.DEFAULT_MAX_RETRIES == openai.DEFAULT_MAX_RETRIES
    assert roost.openai.AsyncClient is AsyncOpenAI


@pytest.mark.parametrize("name", ["OpenAI", "Client", "AzureOpenAI", "AsyncAzureOpenAI"])
def test_a_client_that_would_share_nothing_is_not_there(name: str) -> None:
    with pytest.raises(ImportError, match=f"no {name}: Roost shares the calls of AsyncOpenAI only"):
        exec(f"from roost.openai import {name}")


def test_a_name_that_is_nowhere_is_refused_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = importlib.import_module("roost.openai").no_such_name


async def test_a_tool_call_streams_as_it_came(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider(failures=(Failure("tool"),))
    client = make_client(server)
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    chunks = [
        await drain(await client.chat.completions.create(model="gpt-x", messages=USER, tools=tools, stream=True))
        for _ in range(2)
    ]
    assert chunks[0] == chunks[1]
    assert chunks[0][0].choices[0].delta.tool_calls[0].function.name == "weather"
    assert server.calls == 1
