"""An answer that is an error, empty, cut off or broken is never kept; whoever asked gets what the provider sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import openai
import pytest
from roost_tests.asking import (
    ANSWER,
    KEY,
    QUESTION,
    MakeClient,
    StartProvider,
    ask,
    gather,
    open_stream,
    read_bytes,
    read_stream,
    text_of,
)
from roost_tests.crew import events_of
from roost_tests.fake_openai import Failure
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.openai import reuse_of


async def no_notes(flock: Flock) -> bool:
    return await events_of(flock, "note.written") == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("busy", openai.RateLimitError),
        ("quota", openai.RateLimitError),
        ("key", openai.AuthenticationError),
        ("forbidden", openai.PermissionDeniedError),
        ("model", openai.NotFoundError),
        ("request", openai.BadRequestError),
        ("error", openai.InternalServerError),
        ("drop", openai.APIConnectionError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_is_the_callers_own(
    kind: str,
    error: type[Exception],
    stream: bool,
    provider: StartProvider,
    make_client: MakeClient,
    asked_flock: Flock,
) -> None:
    server = await provider(failures=(Failure(kind, 2),))
    official = make_client(server, flock=None)
    with pytest.raises(error) as expected:
        await (open_stream if stream else ask)(official)
    client = make_client(server)
    with pytest.raises(error) as met:
        await (open_stream if stream else ask)(client)
    assert (type(met.value), str(met.value)) == (type(expected.value), str(expected.value))
    assert getattr(met.value, "body", None) == getattr(expected.value, "body", None)
    assert await no_notes(asked_flock)
    failed = await events_of(asked_flock, "work.failed")
    assert len(failed) == 1
    assert KEY not in str(failed[0].data)
    assert (await read_stream(client))[0] == ANSWER if stream else text_of(await ask(client)) == ANSWER
    assert server.calls == 3


async def test_the_clients_own_retries_go_on_as_ever(provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider(
        failures=(Failure("overloaded", 1), Failure("error", 1)), retry_after={"retry-after-ms": "1"}
    )
    assert text_of(await ask(make_client(server, max_retries=2))) == ANSWER
    assert server.calls == 3


UNFIT = ["empty", "cut", "filter", "refusal", "no-choice", "inside", "strange", "page"]


@pytest.mark.parametrize("kind", UNFIT)
async def test_an_unfit_answer_is_handed_on_as_it_is_and_not_kept(
    kind: str, provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(failures=(Failure(kind, 2),))

    async def read(client: openai.AsyncOpenAI) -> Any:
        return await client.chat.completions.with_raw_response.create(
            model="gpt-x", messages=[{"role": "user", "content": QUESTION}]
        )

    expected, met = await read(make_client(server, flock=None)), await read(make_client(server))
    assert met.text.replace("chatcmpl-2", "chatcmpl-1") == expected.text
    assert "roost-reuse" not in met.headers
    assert reuse_of(met) is None
    assert await no_notes(asked_flock)
    assert text_of(await ask(make_client(server))) == ANSWER
    assert server.calls == 3


@pytest.mark.parametrize("kind", ["empty", "cut", "filter", "no-done", "break", "error-inside"])
async def test_an_unfit_stream_is_handed_on_as_it_is_and_not_kept(
    kind: str, provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(failures=(Failure(kind, 2),))
    expected, met = await read_bytes(make_client(server, flock=None)), await read_bytes(make_client(server))
    assert met.replace(b"chatcmpl-2", b"chatcmpl-1") == expected
    assert await no_notes(asked_flock)
    assert (await read_stream(make_client(server)))[0] == ANSWER
    assert server.calls == 3


async def test_a_stream_that_stalls_ends_in_the_callers_own_timeout(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(failures=(Failure("stall", 1),))
    with pytest.raises(openai.APITimeoutError):
        await read_stream(make_client(server, timeout=0.3))
    assert await no_notes(asked_flock)
    assert (await read_stream(make_client(server)))[0] == ANSWER


async def test_an_answer_that_never_comes_ends_in_the_callers_own_timeout(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(failures=(Failure("hang", 1),))
    with pytest.raises(openai.APITimeoutError):
        await ask(make_client(server, timeout=0.3))
    assert await no_notes(asked_flock)


@pytest.mark.parametrize("kind", ["cut", "empty"])
async def test_of_an_answer_with_several_choices_each_must_be_fit(
    kind: str, provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    client = make_client(await provider(failures=(Failure(kind, 1),)))
    assert len((await ask(client, n=3)).choices) == 3
    assert await no_notes(asked_flock)
    await ask(client, n=3)
    assert not await no_notes(asked_flock)


@pytest.mark.parametrize("kind", ["cut", "filter", "empty"])
@pytest.mark.parametrize("stream", [False, True])
async def test_responses_that_are_unfit_are_not_kept(
    kind: str, stream: bool, provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(failures=(Failure(kind, 1),))
    client = make_client(server)
    for _ in range(2):
        answer = await client.responses.create(model="gpt-x", input="What do owls hear?", stream=stream)
        if stream:
            assert [event async for event in answer]
    assert server.calls == 2
    assert len(await events_of(asked_flock, "note.written")) == 1


async def test_those_who_waited_for_an_unfit_answer_ask_at_the_same_moment_not_in_turn(
    provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider(failures=(Failure("cut"),), latency=timedelta(milliseconds=100))
    client = make_client(server)
    answers = await gather(*[ask(client) for _ in range(8)])
    assert [answer.choices[0].finish_reason for answer in answers] == ["length"] * 8
    assert (server.calls, server.most_at_once) == (8, 7)


async def test_a_failed_call_of_another_is_nobody_elses(
    provider: StartProvider, make_client: MakeClient, peer_flock: Flock
) -> None:
    server = await provider(failures=(Failure("error", 1),), latency=timedelta(milliseconds=150))
    clients = [make_client(server), make_client(server), make_client(server, flock=peer_flock)]
    outcomes = await gather(*[_outcome(client) for client in clients])
    assert sorted(outcomes) == ["InternalServerError", ANSWER, ANSWER]
    assert server.calls == 2


async def _outcome(client: openai.AsyncOpenAI) -> str:
    try:
        return str(text_of(await ask(client)))
    except openai.APIError as error:
        return type(error).__name__


async def test_a_caller_who_leaves_a_stream_in_the_middle_ends_the_call(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(pause=timedelta(milliseconds=30))
    client = make_client(server)
    stream = await open_stream(client)
    async for _ in stream:
        break
    await stream.close()
    await wait_until(lambda: server.cut_off == 1)
    assert await no_notes(asked_flock)
    assert (await read_stream(client))[0] == ANSWER
    assert server.calls == 2
