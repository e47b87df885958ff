"""A handler whose dependency is down is not fed, and nobody's attempts are used up by it."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import httpx2
import openai
import pytest
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Actor, Circuit, Context, Flock, Retry, on
from roost.actors.circuit import is_outage
from roost.actors.models import ModelBusy, ModelUnavailable, QuotaExhausted
from roost.streams import EffectUnknown, NotDone, ServerUnavailable, SettingsError, event

Join = Callable[..., Awaitable[Flock]]
QUICK = Circuit(failures=3, reset=timedelta(seconds=0.3))


@event("letter.written")
@dataclass(frozen=True, slots=True)
class Written:
    n: int
    to: str = ""


@event("letter.delivered")
@dataclass(frozen=True, slots=True)
class Delivered:
    n: int


class PostOffice:
    """An HTTP server that can be closed and opened again on the same port."""

    def __init__(self) -> None:
        self.port = 0
        self.status = 200
        self.taken: list[int] = []
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self.status == 200:
            self.taken.append(int(head.split(b" ")[1].removeprefix(b"/")))
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % self.status)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    """A post office that is closed, after it has been open."""
    office = PostOffice()
    await office.open()
    await office.close()
    yield office
    await office.close()


class Postman(Actor):
    """Carries letters to the office. `tries` is how often it went there."""

    retry = Retry(attempts=4, first_delay=timedelta(milliseconds=20))
    circuit: ClassVar[Circuit | None] = QUICK

    def __init__(self, office: PostOffice) -> None:
        self.office = office
        self.tries = 0

    @on(Written)
    async def carry(self, letter: Written, ctx: Context[None]) -> Delivered:
        return await self.go(letter)

    async def go(self, letter: Written) -> Delivered:
        self.tries += 1
        async with httpx2.AsyncClient(trust_env=False, verify=False) as client:
            answer = await client.post(f"http://127.0.0.1:{self.office.port}/{letter.n}")
            answer.raise_for_status()
        return Delivered(letter.n)


class Careless(Postman):
    circuit = None


class Orderly(Postman):
    """Has a key, and so an order."""

    circuit = QUICK

    @on(Written, key=lambda letter: letter.to)
    async def carry(self, letter: Written, ctx: Context[None]) -> Delivered:
        return await self.go(letter)


async def count_of(flock: Flock, *kinds: str) -> int:
    return len(await events_of(flock, *kinds))


async def ended(flock: Flock, count: int) -> bool:
    return await count_of(flock, "delivery.handled", "delivery.parked") >= count


@pytest.mark.parametrize("way", ["closed", "overloaded"])
async def test_while_a_dependency_is_down_no_attempts_are_used_up_and_all_is_done_when_it_is_back(
    flock: Flock, office: PostOffice, way: str
) -> None:
    postman = Postman(office)
    if way == "overloaded":
        office.status = 503
        await office.open()
    async with flock.work(postman):
        await flock.append(*[Written(n) for n in range(30)])
        await wait_until(lambda: count_of(flock, "circuit.opened"))
        tries = postman.tries
        await wait_until(lambda: postman.tries >= tries + 3)  # probes, one after the other
        assert postman.tries < 30  # most were never begun
        office.status = 200
        if way == "closed":
            await office.open()
        await wait_until(lambda: ended(flock, 30), timeout=10)
    assert await count_of(flock, "delivery.parked") == 0
    assert sorted(office.taken) == list(range(30))
    handled = await events_of(flock, "delivery.handled")
    assert sum(one.data["attempt"] - 1 for one in handled) <= QUICK.failures
    [opened], [closed] = await events_of(flock, "circuit.opened"), await events_of(flock, "circuit.closed")
    assert (opened.subject, opened.data["failures"], opened.data["reset_ms"]) == ("actor/Postman", 3, 300)
    assert opened.data["error"] == ("ConnectError" if way == "closed" else "HTTPStatusError")
    assert closed.data["seconds"] >= 0.6


async def test_without_a_circuit_the_attempts_are_used_up_and_deliveries_parked(
    flock: Flock, office: PostOffice
) -> None:
    careless = Careless(office)
    async with flock.work(careless):
        await flock.append(*[Written(n) for n in range(10)])
        await wait_until(lambda: ended(flock, 10))
    assert careless.tries == 40
    assert await flock.dead.count() == 10
    assert await count_of(flock, "circuit.opened") == 0


async def test_keys_keep_their_order_over_an_outage(flock: Flock, office: PostOffice) -> None:
    async with flock.work(Orderly(office)):
        await flock.append(*[Written(n, f"key/{n % 3}") for n in range(12)])
        await wait_until(lambda: count_of(flock, "circuit.opened"))
        await office.open()
        await wait_until(lambda: ended(flock, 12), timeout=10)
    assert await flock.dead.count() == 0
    for key in range(3):
        assert [n for n in office.taken if n % 3 == key] == [n for n in range(12) if n % 3 == key]


async def test_the_last_attempt_of_a_lone_delivery_opens_the_circuit_before_it_is_parked(
    flock: Flock, office: PostOffice
) -> None:
    class Patient(Postman):
        retry = Retry(attempts=2, first_delay=timedelta(milliseconds=20))
        circuit = Circuit(failures=100, reset=timedelta(seconds=0.2))

    postman = Patient(office)
    async with flock.work(postman):
        await flock.append(Written(1))
        await wait_until(lambda: postman.tries >= 5)
        await office.open()
        await wait_until(lambda: ended(flock, 1))
    [handled] = await events_of(flock, "delivery.handled")
    assert handled.data["attempt"] == 2


async def test_one_that_always_fails_of_its_own_address_is_parked_while_the_others_do_well(
    flock: Flock, office: PostOffice
) -> None:
    class Divided(Postman):
        async def go(self, letter: Written) -> Delivered:
            if letter.to:
                raise ConnectionRefusedError(letter.to)
            return await super().go(letter)

    await office.open()
    async with flock.work(Divided(office)):
        await flock.append(Written(0, "nowhere"))
        for n in range(1, 400):
            await flock.append(Written(n))
            if await flock.dead.count():
                break
    assert [parked.error async for parked in flock.dead.list()] == ["ConnectionRefusedError"]
    assert await count_of(flock, "circuit.opened") == 0


async def test_a_worker_that_stops_while_its_circuit_is_open_stops_at_once(flock: Flock, office: PostOffice) -> None:
    class Slow(Postman):
        circuit = Circuit(failures=2, reset=timedelta(hours=1))

    async with flock.work(Slow(office)):
        await flock.append(*[Written(n) for n in range(30)])
        await wait_until(lambda: count_of(flock, "circuit.opened"))
        started = time.monotonic()
    assert time.monotonic() - started < 20, "the circuit is open for an hour"
    assert await flock.dead.count() == 0
    assert await count_of(flock, "delivery.handled") == 0


@pytest.mark.parametrize("why", ["another error", "one attempt", "no patience"])
async def test_what_is_no_passing_outage_is_parked_after_its_attempts(
    flock: Flock, office: PostOffice, why: str
) -> None:
    class Wrong(Postman):
        retry = Retry(1 if why == "one attempt" else 3, timedelta(milliseconds=10))
        circuit = Circuit(failures=2, reset=timedelta(milliseconds=20), patience=timedelta(milliseconds=1))

        async def go(self, letter: Written) -> Delivered:
            if why == "another error":
                raise ValueError("no such street")
            return await super().go(letter)

    async with flock.work(Wrong(office)):
        await flock.append(*[Written(n) for n in range(6)])
        await wait_until(lambda: ended(flock, 6))
    assert await flock.dead.count() == 6
    assert (await count_of(flock, "circuit.opened") > 0) is (why == "no patience")


async def test_an_actor_may_say_which_errors_open_its_circuit(flock: Flock, office: PostOffice) -> None:
    class Striking(Postman):
        circuit = Circuit(2, timedelta(milliseconds=100), on=(LookupError,))
        strikes: ClassVar[bool] = True

        async def go(self, letter: Written) -> Delivered:
            if self.strikes:
                raise KeyError("nobody here")
            return await super().go(letter)

    await office.open()
    postman = Striking(office)
    async with flock.work(postman):
        await flock.append(*[Written(n) for n in range(6)])
        await wait_until(lambda: count_of(flock, "circuit.opened"))
        Striking.strikes = False
        await wait_until(lambda: ended(flock, 6))
    assert await flock.dead.count() == 0


def a_response(status: int) -> httpx2.Response:
    return httpx2.Response(status, request=httpx2.Request("GET", "http://nest"))


def an_error(error: Exception, **facts: Any) -> Exception:
    for name, value in facts.items():
        setattr(error, name, value)
    return error


def test_what_tells_of_an_outage() -> None:
    request = httpx2.Request("GET", "http://nest")
    down = [
        ConnectionRefusedError(), TimeoutError(), OSError(errno.EHOSTUNREACH, "no way"), ModelUnavailable(),
        ModelBusy(), httpx2.ConnectTimeout("late"), httpx2.ReadError("cut"), openai.APIConnectionError(request=request),
        openai.RateLimitError("busy", response=a_response(429), body=None), an_error(Exception(), status=503),
        httpx2.HTTPStatusError("x", request=request, response=a_response(502)),
    ]  # fmt: skip
    up = [
        ValueError(), OSError(errno.ENOENT, "no file"), QuotaExhausted(), ServerUnavailable(),
        httpx2.UnsupportedProtocol("ftp"), openai.BadRequestError("odd", response=a_response(400), body=None),
        openai.InternalServerError("of this very request?", response=a_response(500), body=None),
    ]  # fmt: skip
    assert [error for error in down if not is_outage(error)] == []
    assert [error for error in up if is_outage(error)] == []


def test_a_circuit_that_cannot_be_is_refused() -> None:
    with pytest.raises(SettingsError):
        Circuit(failures=0)
    with pytest.raises(SettingsError):
        Circuit(reset=timedelta(0))


def test_only_a_keyed_actor_can_halt() -> None:
    class Halting(Orderly):
        halt = True

    assert Halting.halt
    with pytest.raises(SettingsError, match="no key that could stand still"):

        class Loose(Postman):  # pyright: ignore[reportUnusedClass]  # it is refused
            halt = True


def test_an_effect_that_was_not_done_for_an_outage_tells_of_it() -> None:
    refused = NotDone("the bank cannot be reached")
    assert not is_outage(refused)
    refused.__cause__ = ConnectionRefusedError()
    assert is_outage(refused)
    unknown = EffectUnknown("k", "failed")
    unknown.__cause__ = ConnectionResetError()  # half way, perhaps: a person's, not another time's
    assert not is_outage(unknown)
