"""The writer: what is appended while a call is on its way goes together, and nobody is left without an answer."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import DataError
from roost_tests.core import Core, claim_unit, happened, make_core, one, open_core
from roost_tests.own_server import OwnServer
from roost_tests.proxy import Fault, Proxy
from roost_tests.waiting import wait_until

from roost.streams import Closed, OutcomeUnknown
from roost.streams.answer import Answer, Granted, Held, Written
from roost.streams.connection import Connection, connect
from roost.streams.event import MAX_EVENT_BYTES
from roost.streams.unit import Token, Unit
from roost.streams.writer import CROWD, MAX_CALL_EVENTS

StartProxy = Callable[[str], Awaitable[Proxy]]
StartServer = Callable[[], Awaitable[OwnServer]]


def calls(faulty: Proxy) -> int:
    """Calls of the write script so far. No other script is called meanwhile."""
    return sum(words[0].upper() == b"EVALSHA" for words in faulty.requests)


async def test_what_is_appended_while_a_call_is_on_its_way_goes_into_the_next(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        await core.append(happened("warm"))
        before = calls(faulty)
        held = faulty.hold_reply("EVALSHA")
        first = asyncio.create_task(core.append(happened("a")))
        await held.happened.wait()
        others = [asyncio.create_task(core.append(happened("a"))) for _ in range(100)]
        await asyncio.sleep(0)
        held.release()
        await first
        answers = await asyncio.gather(*others)
        assert [answer.versions for answer in answers] == [(version,) for version in range(2, 102)]
        assert calls(faulty) == before + 2


async def test_what_waits_for_an_idle_writer_is_one_call_and_of_a_crowd_two(own_server: StartServer) -> None:
    server = await own_server()
    async with await connect(server.url) as connection, open_core(connection, "f") as core:
        await core.append(happened("warm"))
        for appenders, calls_made in ((CROWD - 1, 1), (CROWD, 2), (MAX_CALL_EVENTS, 2), (2 * MAX_CALL_EVENTS + 1, 3)):
            before = await evalshas(connection)
            await asyncio.gather(*[core.append(happened("a")) for _ in range(appenders)])
            assert await evalshas(connection) == before + calls_made


async def test_a_crowd_is_on_its_way_while_the_other_half_waits(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        await core.append(happened("warm"))
        held = faulty.hold_reply("EVALSHA")
        crowd = [asyncio.create_task(core.append(happened("a"))) for _ in range(CROWD)]
        await held.happened.wait()
        assert await core.log.length() == 1 + CROWD // 2
        held.release()
        answers = await asyncio.gather(*crowd)
        assert [answer.versions for answer in answers] == [(version,) for version in range(1, CROWD + 1)]


async def test_an_idle_writer_sends_at_once(server_url: str, flock_name: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        await core.append(happened("warm"))
        before = calls(faulty)
        for _ in range(3):
            await core.append(happened("a"))
        assert calls(faulty) == before + 3


async def test_a_call_is_bounded_in_bytes(server_url: str, flock_name: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        await core.append(happened("warm"))
        before = calls(faulty)
        body = b'"' + b"x" * (MAX_EVENT_BYTES - 1000) + b'"'
        await asyncio.gather(*[core.append(happened(body=body)) for _ in range(8)])
        assert calls(faulty) == before + 2


async def test_a_full_writer_makes_appenders_wait(server_url: str, flock_name: str, proxy: StartProxy) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name, max_waiting=3) as core:
        await core.append(happened("warm"))
        held = faulty.hold_reply("EVALSHA")
        appending = [asyncio.create_task(core.append(happened(f"s{number}"))) for number in range(7)]
        await held.happened.wait()
        before = calls(faulty)
        held.release()
        await asyncio.gather(*appending)
        assert [event.subject for event in await core.events()] == ["warm", *[f"s{number}" for number in range(7)]]
        assert calls(faulty) - before == 2, "three at a time"


async def test_waiting_appenders_that_give_up_leave_room_and_are_not_written(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name, max_waiting=3) as core:
        held, first = await under_way(faulty, core)
        waiting = [asyncio.create_task(core.append(happened("gone"))) for _ in range(5)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        assert [type(error) for error in await asyncio.gather(*waiting, return_exceptions=True)] == [
            asyncio.CancelledError
        ] * 5
        held.release()
        await first
        await asyncio.gather(*[core.append(happened("b")) for _ in range(6)])
        assert {event.subject for event in await core.events()} == {"warm", "a", "b"}


async def test_a_cancelled_appender_whose_unit_is_on_its_way_may_find_it_written(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        held, first = await under_way(faulty, core)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        held.release()
        assert (await core.append(happened("a"))).versions == (2,)


async def test_a_closed_writer_has_written_what_was_waiting_and_takes_no_more(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name, max_waiting=2) as core:
        held, first = await under_way(faulty, core)
        waiting = [asyncio.create_task(core.append(happened("b"))) for _ in range(5)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(core.writer.close())
        await asyncio.sleep(0)
        with pytest.raises(Closed, match="open it again"):
            await core.append(happened("c"))
        assert not closing.done()
        held.release()
        await closing
        assert first.done()
        assert all(task.done() for task in waiting)
        assert await core.log.length() == 7


async def test_closing_twice_and_closing_an_unused_writer_are_fine(core: Core) -> None:
    await core.writer.close()
    await core.writer.close()


async def test_a_writer_that_is_stopped_leaves_nobody_waiting(
    server_url: str, flock_name: str, proxy: StartProxy
) -> None:
    faulty = await proxy(server_url)
    async with await connect(faulty.url) as connection, open_core(connection, flock_name) as core:
        held, first = await under_way(faulty, core)
        waiting = asyncio.create_task(core.append(happened("b")))
        await asyncio.sleep(0)
        (pump,) = [task for task in asyncio.all_tasks() if task.get_name() == "roost writer"]
        pump.cancel()
        with pytest.raises(OutcomeUnknown):
            await first
        with pytest.raises(Closed, match="before this was written"):
            await waiting
        held.release()
        assert (await core.append(happened("c"))).versions == (1,), "the next appender starts it again"
        assert await core.log.subject("b") == []


async def test_a_part_that_cannot_be_sent_fails_its_call_and_the_writer_goes_on(core: Core) -> None:
    nothing: Any = object()
    broken = Unit().state("A", "k", b"").park(Token("A", "c", "1-1", 1), b"")
    broken.args[-1] = nothing
    with pytest.raises(DataError):
        await core.writer.write(broken)
    assert (await core.append(happened("a"))).versions == (1,)


async def test_a_delivery_of_an_inbox_that_was_taken_away_fences_only_its_own_unit(core: Core) -> None:
    inbox = core.inbox("A")
    await inbox.subscribe(["thing.happened"])
    await core.append(happened("a"))
    (delivery,) = await core.read(inbox)
    await inbox.unsubscribe(drop=True)
    fenced, written = await core.write(Unit().acknowledge(delivery.token).event(happened("b")), one(happened("c")))
    assert (type(fenced).__name__, type(written)) == ("Fenced", Written)
    assert [event.subject for event in await core.events()] == ["a", "c"]


async def test_an_owner_with_spaces_and_lines_does_not_garble_the_answers(core: Core) -> None:
    answers = await core.write(claim_unit("k", "n1", owner="my host\nline 2"), claim_unit("k", "n2"), one())
    assert [type(answer) for answer in answers] == [Granted, Held, Written]
    assert answers[1] == Held(60_000, "my host line 2", "")


async def test_a_writer_does_not_carry_the_context_of_who_came_first(core: Core) -> None:
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")
    seen: list[str] = []
    client = core.shard.client
    execute = client.execute_command

    class Spy:
        async def execute_command(self, *args: Any, **options: Any) -> Any:
            seen.append(trace.get())
            return await execute(*args, **options)

    core.shard.client = Spy()
    trace.set("of the first")
    await core.append(happened())
    assert seen == ["none"]


async def test_two_writers_of_one_process_do_not_disturb_each_other(connection: Connection, flock_name: str) -> None:
    one_core, other = await make_core(connection, flock_name), await make_core(connection, flock_name)
    await asyncio.gather(*[core.append(happened("a")) for _ in range(50) for core in (one_core, other)])
    assert [event.version for event in await one_core.log.subject("a")] == list(range(1, 101))


async def under_way(faulty: Proxy, core: Core) -> tuple[Fault, asyncio.Task[Written]]:
    """A call that has been carried out, and whose reply is held."""
    await core.append(happened("warm"))
    held = faulty.hold_reply("EVALSHA")
    first = asyncio.create_task(core.append(happened("a")))
    await asyncio.wait_for(held.happened.wait(), 30)
    await wait_until(lambda: bool(held.request))
    return held, first


async def evalshas(connection: Connection) -> int:
    stats = await connection.client.execute_command("INFO", "commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


class Deaf:
    """An observer that fails at being told."""

    def done(self) -> bool:
        return False

    def set_result(self, answer: Answer, /) -> None:
        raise ValueError("deaf")

    def set_exception(self, error: Exception, /) -> None:
        raise ValueError("deaf")


async def test_an_observer_that_fails_at_being_told_keeps_nobody_else_waiting(core: Core) -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    core.writer.post(Unit().event(happened("a")), Deaf())
    answer = await asyncio.wait_for(core.writer.write(Unit().event(happened("b"))), 30)
    assert isinstance(answer, Written)
    assert [str(error) for error in told] == ["deaf"]
    assert [event.subject for event in await core.events()] == ["a", "b"]
