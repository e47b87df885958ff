"""Streams: live for the one who asks the provider, whole for those who wait, in bounded memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import openai
import pytest
from roost_tests.asking import ANSWER, MakeClient, StartProvider, ask, open_stream, read_bytes, read_stream, text_of
from roost_tests.crew import events_of
from roost_tests.fake_openai import LONG, Failure
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.adapters.openai import provider as provider_module
from roost.openai import reuse_of


async def test_the_first_word_does_not_wait_for_the_last(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(pause=timedelta(milliseconds=100))
    stream = await open_stream(make_client(server))
    first = await anext(stream)
    assert first.choices[0].delta.content == "You "
    assert await events_of(asked_flock, "work.computed") == []
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == ANSWER.removeprefix("You ")
    assert len(await events_of(asked_flock, "work.computed")) == 1


async def test_the_note_is_there_when_the_stream_has_ended(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    client = make_client(await provider())
    for number in range(5):
        _, stream = await read_stream(client, f"Number {number}. More.")
        reuse = reuse_of(stream)
        assert reuse is not None
        assert reuse.note is not None
        assert (await asked_flock.memory.get(reuse.note)).text.endswith("data: [DONE]\n\n")


async def test_who_leaves_takes_nothing_from_those_who_wait_here(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(pause=timedelta(milliseconds=50))
    client = make_client(server)
    stream = await open_stream(client)
    await anext(stream)
    waiting = asyncio.create_task(read_stream(client))
    flights: Any = asked_flock.memory
    await wait_until(lambda: [flight.joiners for flight in flights._flights._flying.values()] == [2], every=0.001)
    await stream.close()
    text, joined = await waiting
    assert (text, server.calls, joined.response.headers["roost-reuse"]) == (ANSWER, 1, "joined")


async def test_who_leaves_after_the_last_word_has_it_kept(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    client = make_client(await provider(pause=timedelta(milliseconds=10)))
    stream = await open_stream(client)
    async for chunk in stream:
        if chunk.choices[0].finish_reason:
            break
    await stream.close()
    assert len(await events_of(asked_flock, "note.written")) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_large_answer_is_kept(stream: bool, provider: StartProvider, make_client: MakeClient) -> None:
    server = await provider(failures=(Failure("long"),))
    client = make_client(server)
    texts = [(await read_stream(client))[0] if stream else text_of(await ask(client)) for _ in range(2)]
    assert texts[0] == texts[1] == LONG
    assert server.calls == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_past_the_bound_is_passed_on_and_not_kept(
    stream: bool, provider: StartProvider, make_client: MakeClient, asked_flock: Flock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(provider_module, "MAX_KEPT_BYTES", 400)
    server = await provider(pause=timedelta(milliseconds=5))
    client = make_client(server)
    question = "Barn owls, tawny owls, little owls, snowy owls and eagle owls all hunt by ear, at night. Yes."
    texts = [
        (await read_stream(client, question))[0] if stream else text_of(await ask(client, question * 4))
        for _ in range(2)
    ]
    assert texts == [f"You said: {question.removesuffix(' Yes.')}"] * 2
    assert server.calls == 2
    assert await events_of(asked_flock, "note.written") == []


async def test_who_reads_a_large_stream_slowly_holds_back_the_provider(
    provider: StartProvider, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_module, "MAX_KEPT_BYTES", 100_000)
    server = await provider(failures=(Failure("endless"),))
    stream = await open_stream(make_client(server))
    await anext(stream)
    await wait_until(lambda: provider_size(stream) > 100_000)
    held = provider_size(stream)
    await asyncio.sleep(0.2)
    assert provider_size(stream) == held < 1_000_000
    await stream.close()
    await wait_until(lambda: server.cut_off == 1)


def provider_size(stream: Any) -> int:
    """Bytes that Roost holds of a stream that its caller has still to read."""
    return int(stream.response.stream._provider._size)


async def test_waiting_for_another_is_bounded_by_ones_own_timeout(
    provider: StartProvider, make_client: MakeClient, peer_flock: Flock
) -> None:
    server = await provider(latency=timedelta(seconds=3))
    patient = asyncio.create_task(ask(make_client(server)))
    await wait_until(lambda: server.calls == 1)
    hasty = make_client(server, flock=peer_flock, timeout=0.4)
    with pytest.raises(openai.APITimeoutError):
        await ask(hasty)
    assert not patient.done()
    assert text_of(await patient) == ANSWER
    assert server.calls == 1


async def test_a_stream_that_cannot_wait_longer_is_asked_for_itself(
    provider: StartProvider, make_client: MakeClient, peer_flock: Flock
) -> None:
    server = await provider(pause=timedelta(milliseconds=300))
    first = asyncio.create_task(read_stream(make_client(server)))
    await wait_until(lambda: server.calls == 1)
    text, stream = await read_stream(make_client(server, flock=peer_flock, timeout=0.5))
    assert (text, server.calls, reuse_of(stream)) == (ANSWER, 2, None)
    assert (await first)[0] == ANSWER


async def test_a_call_for_a_stream_and_one_for_a_whole_answer_are_two(
    provider: StartProvider, make_client: MakeClient
) -> None:
    server = await provider()
    client = make_client(server)
    assert (await read_stream(client))[0] == text_of(await ask(client)) == ANSWER
    assert server.calls == 2


async def test_a_stream_that_says_it_is_done_need_not_close_its_connection(
    provider: StartProvider, make_client: MakeClient, asked_flock: Flock
) -> None:
    server = await provider(failures=(Failure("linger"),))
    text, _ = await read_stream(make_client(server))
    assert text == ANSWER
    await wait_until(lambda: _is_kept(asked_flock))


async def _is_kept(flock: Flock) -> bool:
    return len(await events_of(flock, "note.written")) == 1


async def test_known_streams_leave_others_their_turn(provider: StartProvider, make_client: MakeClient) -> None:
    client = make_client(await provider(failures=(Failure("long"),)))
    await read_bytes(client)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    stream = await open_stream(client)
    counting = asyncio.create_task(count())
    await anext(stream)
    begun = turns
    async for _ in stream:
        continue
    counting.cancel()
    assert turns - begun > 40
