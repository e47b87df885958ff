"""The same request is one call to the provider; whatever may change the answer makes it another request."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from roost_tests.asking import (
    ANSWER,
    QUESTION,
    MakeClient,
    StartProvider,
    ask,
    gather,
    read_bytes,
    read_stream,
    text_of,
)
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.openai import AsyncOpenAI, reuse_of
from roost.streams import SettingsError

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"a": {}, "b": {}}}},
}
SWAPPED: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"b": {}, "a": {}}}},
}


async def test_an_answer_is_found_by_whoever_asks_again(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(cached_tokens=3)
    first, again = await ask(make_client(server)), await ask(make_client(server))
    assert (text_of(first), text_of(again), server.calls) == (ANSWER, ANSWER, 1)
    assert (first.id, first.model, first.choices) == (again.id, again.model, again.choices)
    [computed] = await events_of(asked_flock, "work.computed")
    [reused] = await events_of(asked_flock, "work.reused")
    work = {"model": "openai/gpt-x", "calls": 1, "input_tokens": 9, "output_tokens": 7, "cached_tokens": 3}
    assert computed.data | work | {"tokens_estimated": False, "cost_usd": None} == computed.data
    assert reused.data["how"] == "found"


async def test_those_who_ask_at_the_same_moment_wait_for_one_call(
    provider: StartProvider, make_client: MakeClient, peer_flock: Flock
) -> None:
    server = await provider(latency=timedelta(milliseconds=200))
    clients = [make_client(server), make_client(server), make_client(server, flock=peer_flock)]
    answers = await gather(*[ask(client) for client in clients])
    assert [text_of(answer) for answer in answers] == [ANSWER] * 3
    assert server.calls == 1
    assert sorted(reuse.how for answer in answers if (reuse := reuse_of(answer))) == ["computed", "joined", "joined"]


async def test_a_reused_answer_costs_nothing_and_says_so(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider(cached_tokens=3)
    client = make_client(server)
    first, again = await ask(client), await ask(client)
    assert first.usage is not None
    assert again.usage is not None
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (9, 7)
    assert (again.usage.prompt_tokens, again.usage.completion_tokens, again.usage.total_tokens) == (0, 0, 0)
    assert again.usage.prompt_tokens_details is not None
    assert again.usage.prompt_tokens_details.cached_tokens == 0
    reuse = reuse_of(again)
    assert reuse is not None
    assert (reuse.how, reuse.is_reused) == ("found", True)
    assert reuse.usage == first.usage.model_dump(exclude_none=True)
    computed = reuse_of(first)
    assert computed is not None
    assert (computed.how, computed.is_reused, computed.note, computed.usage) == (
        "computed",
        False,
        reuse.note,
        reuse.usage,
    )
    assert "roost" not in first.model_dump_json()
    assert first.model_copy(deep=True) == first


async def test_the_marker_names_the_note(provider: StartProvider, make_client: MakeClient, asked_flock: Flock) -> None:
    client = make_client(await provider())
    first = await client.chat.completions.with_raw_response.create(
        model="gpt-x", messages=[{"role": "user", "content": QUESTION}]
    )
    note = await asked_flock.memory.get(first.headers["roost-note"])
    assert first.headers["roost-reuse"] == "computed"
    assert note.text.startswith("HTTP/1.1 200 OK\ncontent-type: application/json\n")
    assert note.text.endswith(first.text)
    assert "session=" not in note.text
    reuse = reuse_of(await ask(client))
    assert reuse is not None
    assert reuse.note == note.id
    known = reuse_of(first)
    assert known is not None
    assert (known.how, known.note) == ("computed", note.id)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "gpt-y"},
        {"messages": [{"role": "system", "content": QUESTION}]},
        {"messages": [{"role": "user", "content": QUESTION + " "}]},
        {"temperature": 0.5},
        {"seed": 7},
        {"n": 2},
        {"max_tokens": 100},
        {"response_format": {"type": "json_object"}},
        {"tools": [WEATHER]},
        {"user": "robin"},
        {"stream": True},
        {"extra_body": {"top_k": 3}},
        {"extra_query": {"api-version": "2"}},
        {"extra_headers": {"OpenAI-Beta": "x=1"}},
        {"extra_headers": {"OpenAI-Organization": "org-2"}},
        {"extra_headers": {"OpenAI-Project": "proj-2"}},
    ],
    ids=str,
)
async def test_what_may_change_the_answer_asks_anew(
    change: dict[str, Any], provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider()
    client = make_client(server)
    await ask(client)
    await ask(client, **change)
    assert server.calls == 2


async def test_even_the_order_of_a_schema_s_members_asks_anew(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider()
    client = make_client(server)
    await ask(client, tools=[WEATHER])
    await ask(client, tools=[WEATHER])
    assert server.calls == 1
    await ask(client, tools=[SWAPPED])
    assert server.calls == 2


@pytest.mark.parametrize(
    "option", [{"organization": "org-2"}, {"project": "proj-2"}, {"default_headers": {"X-A": "1"}}]
)
async def test_another_organisation_project_or_header_asks_anew(
    option: dict[str, Any], provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider()
    await ask(make_client(server))
    await ask(make_client(server, **option))
    assert server.calls == 2


async def test_another_server_is_asked_itself(provider: StartProvider, make_client: MakeClient) -> None:
    here, there = await provider(), await provider()
    await ask(make_client(here))
    await ask(make_client(there))
    assert (here.calls, there.calls) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"api_key": "sk-another"},
        {"timeout": 9.0},
        {"max_retries": 5},
        {"default_headers": {"User-Agent": "robin/1", "X-Request-ID": "7", "traceparent": "00-1-2-01"}},
    ],
    ids=str,
)
async def test_who_asks_and_how_it_is_sent_makes_no_difference(
    change: dict[str, Any], provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider()
    await ask(make_client(server))
    await ask(make_client(server, **change))
    assert server.calls == 1


async def test_a_cookie_that_the_provider_sets_makes_no_difference(
    provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider()
    client = make_client(server)
    await ask(client, "One. Two.")
    await ask(make_client(server), "Three. Four.")
    await ask(client, "Three. Four.")  # with a cookie by now
    assert server.calls == 2


async def test_share_false_asks_the_provider_itself(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider()
    client = make_client(server)
    alone = client.with_options(share=False)
    await ask(client)
    answer = await ask(alone)
    assert (server.calls, reuse_of(answer)) == (2, None)
    assert "roost" not in answer.model_dump()
    await ask(make_client(server, share=False))
    assert server.calls == 3
    await ask(alone.with_options(share=None))
    assert server.calls == 3
    assert len(await events_of(asked_flock, "work.computed")) == 1


async def test_samples_are_independent_answers(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider()
    client = make_client(server)
    for sample in (0, 1, 2, 1, 2, 0):
        await ask(client.with_options(sample=sample))
    assert server.calls == 3
    assert text_of(await ask(make_client(server, sample=2))) == ANSWER
    assert server.calls == 3


async def test_fresh_takes_no_answer_from_before(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider()
    client = make_client(server)
    old = await ask(client)
    new = await ask(client.with_options(fresh=True))
    assert (server.calls, old.id != new.id) == (2, True)
    assert (await ask(client)).id == new.id


async def test_ttl_is_how_long_an_answer_is_kept(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    client = make_client(await provider(), ttl=timedelta(hours=1))
    await ask(client)
    await ask(client.with_options(ttl=None), "Another. One.")
    written = await events_of(asked_flock, "note.written")
    assert [event.data.get("ttl_ms") for event in written] == [3_600_000, None]


async def test_headers_say_the_same_as_options_and_are_never_sent(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider()
    client = make_client(server)
    await ask(client)
    for number, header in enumerate([{"Roost-Share": "off"}, {"Roost-Sample": "2"}, {"roost-fresh": "on"}], 2):
        await ask(client, extra_headers=header)
        assert server.calls == number
    await ask(client.with_options(sample=2))
    assert server.calls == 4
    await ask(make_client(server, default_headers={"Roost-TTL": "60"}), "Another. One.")
    assert (await events_of(asked_flock, "note.written"))[-1].data["ttl_ms"] == 60_000
    await client.models.list(extra_headers={"Roost-Share": "off"})
    assert [name for headers in server.headers for name in headers if name.startswith("roost")] == []


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ({"Roost-Sample": "-1"}, "Roost-Sample"),
        ({"Roost-Sample": "two"}, "Roost-Sample"),
        ({"Roost-Share": "maybe"}, "Roost-Share"),
        ({"Roost-TTL": "a day"}, "Roost-TTL"),
        ({"Roost-TTL": "0"}, "ttl"),
        ({"Roost-Colour": "red"}, "Roost-Colour"),
    ],
)
async def test_a_header_that_cannot_be_is_refused(
    header: dict[str, str], word: str, provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider()
    with pytest.raises(SettingsError, match=word):
        await ask(make_client(server), extra_headers=header)
    assert server.calls == 0


@pytest.mark.parametrize(
    "option", [{"share": "no"}, {"sample": -1}, {"sample": 1.5}, {"fresh": 1}, {"ttl": 60}, {"unavailable": "ignore"}]
)
def test_an_option_that_cannot_be_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(option))):
        AsyncOpenAI(api_key="k", **option)


async def test_functions_that_the_caller_runs_are_shared(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider(failures=(_failure("tool"),))
    client = make_client(server)
    first, again = await ask(client, tools=[WEATHER]), await ask(client, tools=[WEATHER])
    assert first.choices[0].message.tool_calls == again.choices[0].message.tool_calls
    assert first.choices[0].message.tool_calls
    assert server.calls == 1


@pytest.mark.parametrize(
    "change",
    [
        {"store": True},
        {"model": "gpt-x-search-preview"},
        {"model": "sonar:online"},
        {"web_search_options": {}, "extra_body": {"web_search_options": {"search_context_size": "low"}}},
        {"extra_body": {"plugins": [{"id": "web"}]}},
        {"modalities": ["text", "audio"], "audio": {"format": "wav", "voice": "alloy"}},
        {"tools": [{"type": "web_search"}]},
    ],
    ids=str,
)
async def test_what_looks_at_the_world_or_leaves_something_behind_is_shared_only_when_asked_for(
    change: dict[str, Any], provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider()
    client = make_client(server)
    await ask(client, **change)
    await ask(client, **change)
    assert server.calls == 2
    await ask(client.with_options(share=True), **change)
    await ask(client.with_options(share=True), **change)
    assert server.calls == 3


async def test_streams_are_shared_byte_for_byte(
    provider: StartProvider, make_client: MakeClient, peer_flock: Flock
) -> None:
    server = await provider(pause=timedelta(milliseconds=20))
    one, other = make_client(server), make_client(server, flock=peer_flock)
    official = await read_bytes(make_client(server, flock=None))
    assert server.calls == 1
    assert await gather(read_bytes(one), read_bytes(other), read_bytes(one)) == [official.replace(b"-1", b"-2")] * 3
    assert await read_bytes(one) == official.replace(b"-1", b"-2")
    assert server.calls == 2
    text, stream = await read_stream(other)
    assert (text, stream.response.headers["roost-reuse"]) == (ANSWER, "found")
    reuse = reuse_of(stream)
    assert reuse is not None
    assert (reuse.how, reuse.usage) == ("found", None)


async def test_the_usage_in_a_reused_stream_is_zero(provider: StartProvider, make_client: MakeClient) -> None:
    client = make_client(await provider())
    options: dict[str, Any] = {"stream_options": {"include_usage": True}}
    stream = await client.chat.completions.create(
        model="gpt-x",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    first = [chunk async for chunk in stream]
    known = reuse_of(stream)
    assert known is not None
    assert known.how == "computed"
    assert known.note is not None  # the stream has ended
    again, stream = await read_stream(client, **options)
    reuse = reuse_of(stream)
    stream = await client.chat.completions.create(
        model="gpt-x",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert first[-1].usage is not None
    assert chunks[-1].usage is not None
    assert (first[-1].usage.total_tokens, chunks[-1].usage.total_tokens) == (16, 0)
    assert chunks[:-1] == first[:-1]
    assert again == ANSWER
    assert reuse is not None
    assert (reuse.note, reuse.usage) == (known.note, first[-1].usage.model_dump(exclude_none=True))
    told = reuse_of(chunks[-1])
    assert told == reuse


async def test_tokens_that_nobody_counted_are_estimated_and_said_to_be(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    await read_stream(make_client(await provider()), "a" * 40)
    [computed] = await events_of(asked_flock, "work.computed")
    assert computed.data["tokens_estimated"]
    assert (computed.data["input_tokens"], computed.data["output_tokens"]) == (10, 13)


async def test_an_answer_of_the_official_server_has_a_price(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await provider()
    monkeypatch.setattr("roost.adapters.openai.call.OFFICIAL_HOST", "127.0.0.1")
    await ask(make_client(server), model="gpt-4o-mini")
    [computed] = await events_of(asked_flock, "work.computed")
    assert float(computed.data["cost_usd"]) > 0


async def test_a_caller_who_is_cancelled_leaves_nothing_behind(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(latency=timedelta(milliseconds=300))
    client = make_client(server)
    asking = asyncio.create_task(ask(client))
    await wait_until(lambda: server.calls == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await wait_until(lambda: _has_failed(asked_flock))
    assert text_of(await ask(client)) == ANSWER
    assert server.calls == 2


async def test_a_caller_who_is_cancelled_takes_nothing_from_those_who_wait(
    provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider(latency=timedelta(milliseconds=300))
    client = make_client(server)
    asking, waiting = asyncio.create_task(ask(client)), asyncio.create_task(ask(client))
    await wait_until(lambda: server.calls == 1)
    asking.cancel()
    assert text_of(await waiting) == ANSWER
    assert server.calls == 1


async def _has_failed(flock: Flock) -> bool:
    return bool(await events_of(flock, "work.failed"))


def _failure(kind: str) -> Any:
    from roost_tests.fake_openai import Failure

    return Failure(kind)
