"""What handlers reach around ctx while they are done again: it is named, and refused where it writes or calls."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
import io
import json
import logging
import multiprocessing
import os
import random
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import choice, shuffle
from time import time as clock
from typing import Any, cast

import numpy
import numpy.random
import pytest
import structlog
from pydantic import BaseModel, Field

from roost.actors.context import Context
from roost.actors.replay.around import MAX_AROUND
from roost.actors.replay.culprit import HERE as HERE_OF_ROOST
from roost.actors.replay.culprit import ROOT, Whose, whose_code
from roost.actors.replay.guard import Around, Guard, ReachedAround
from roost.streams import Delivery, Event, Position, new_id

HERE = Path(__file__).name


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as guard:
        yield guard


def named(guard: Guard, act: Callable[[], Any]) -> list[str]:
    with guard.acting() as found:
        act()
    return [around.what for around in found]


@dataclass
class Stamped:
    at: float = field(default_factory=time.time)


class Modelled(BaseModel):
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class ModelledInC(BaseModel):
    at: datetime = Field(default_factory=datetime.now)
    other: int = 3


class OwnDate(datetime):
    """Of a library that has dates of its own."""


OLD = random.Random(7)


def connect_by_hand() -> None:
    with socket.socket() as connection:  # to be closed: it is refused
        connection.connect(("127.0.0.1", 9))


def in_a_generator() -> list[float]:
    def times() -> Iterator[float]:
        yield time.time()

    return list(times())


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (lambda: time.time(), "time.time"),
        (lambda: clock(), "time.time"),
        (lambda: time.time_ns(), "time.time_ns"),
        (lambda: time.localtime(), "time.localtime"),
        (lambda: time.strftime("%Y"), "time.strftime"),
        (lambda: datetime.now(UTC), "datetime.now"),
        (lambda: datetime.utcnow(), "datetime.utcnow"),  # noqa: DTZ003  # pyright: ignore[reportDeprecated]
        (lambda: date.today(), "date.today"),  # noqa: DTZ011
        (lambda: OwnDate.now(UTC), "OwnDate.now"),
        (Stamped, "time.time"),
        (Modelled, "datetime.now"),
        (ModelledInC, "datetime.now for ModelledInC.at"),
        (lambda: sorted([2, 1], key=lambda each: time.time()), "time.time"),
        (in_a_generator, "time.time"),
        (lambda: random.random(), "random.random"),
        (lambda: choice([1, 2]), "random.choice"),
        (lambda: shuffle([1, 2]), "random.shuffle"),
        (lambda: sorted([2, 1], key=lambda each: random.random()), "random.random"),
        (lambda: random.Random().random(), "random.Random() without a seed"),
        (lambda: OLD.random(), "random.Random that is older than the delivery"),
        (lambda: random.SystemRandom().random(), "random.random"),
        (lambda: numpy.random.rand(3), "numpy.random.rand"),
        (lambda: numpy.random.default_rng().random(), "random.getrandbits"),
        (lambda: os.urandom(4), "os.urandom"),
        (lambda: secrets.token_hex(), "secrets.token_hex"),
        (lambda: uuid.uuid4(), "uuid.uuid4"),
        (lambda: uuid.uuid1(), "uuid.uuid1"),
        (lambda: Path("/etc/hosts").read_text(), "opens /etc/hosts"),
        (lambda: os.listdir("/etc"), "lists /etc"),
        (lambda: Path("/etc/hosts").exists(), "pathlib.Path.exists"),
        (lambda: os.path.getmtime("/etc/hosts"), "os.path.getmtime"),
    ],
)
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_what_no_replay_can_know_is_named(guard: Guard, act: Callable[[], Any], what: str) -> None:
    with guard.acting() as found:
        act()
    assert what in [around.what for around in found]
    assert {around.where.split(",")[0] for around in found} == {HERE}


def test_a_place_is_the_line_of_the_handler_and_its_function(guard: Guard) -> None:
    def summarize() -> None:
        helper()

    def helper() -> list[float]:
        return [time.time() for _ in range(3)]

    with guard.acting() as found:
        summarize()
    line = helper.__code__.co_firstlineno + 1
    assert found == [Around("time.time", f"{HERE}, line {line}, in helper", "time")]


REFUSED: list[tuple[Callable[[Path], Any], str, str]] = [
    (lambda folder: (folder / "new").write_text("x"), "writes {}/new", "file"),
    (lambda folder: os.open(folder / "new", os.O_CREAT | os.O_WRONLY), "writes {}/new", "file"),
    (lambda folder: (folder / "old").open("a"), "writes {}/old", "file"),
    (lambda folder: (folder / "old").unlink(), "removes {}/old", "file"),
    (lambda folder: (folder / "old").rename(folder / "new"), "renames {0}/old to {0}/new", "file"),
    (lambda folder: (folder / "new").mkdir(), "makes the folder {}/new", "file"),
    (lambda folder: shutil.rmtree(folder), "removes the folder {}", "file"),
    (lambda folder: shutil.copy(folder / "old", folder / "new"), "writes {}/new", "file"),
    (lambda folder: sqlite3.connect(folder / "new"), "opens the database {}/new", "file"),
    (lambda folder: socket.create_connection(("127.0.0.1", 9)), "looks up 127.0.0.1:9", "network"),
    (lambda folder: connect_by_hand(), "connects to 127.0.0.1:9", "network"),
    (lambda folder: socket.getaddrinfo("example.org", 80), "looks up example.org:80", "network"),
    (lambda folder: urllib.request.urlopen("http://127.0.0.1:9/x"), "asks http://127.0.0.1:9/x", "network"),
    (lambda folder: subprocess.run(["touch", folder / "new"], check=True), "runs touch {}/new", "process"),
    (lambda folder: os.posix_spawn("/bin/true", ["true"], {}), "runs true", "process"),
    (lambda folder: os.fork(), "forks", "process"),
    (lambda folder: multiprocessing.get_context("spawn").Process().start(), "starts a process", "process"),
]


@pytest.mark.parametrize(("act", "what", "kind"), REFUSED)
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_writes_or_calls_is_refused(
    guard: Guard, tmp_path: Path, act: Callable[[Path], Any], what: str, kind: str
) -> None:
    (tmp_path / "old").write_text("as it was")
    with guard.acting() as found, pytest.raises(ReachedAround, match="nothing is written or called") as refused:
        act(tmp_path)
    assert (refused.value.around.what, refused.value.around.kind) == (what.format(tmp_path), kind)
    assert refused.value.around in found
    assert [each.name for each in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "as it was"


async def test_a_handler_is_seen_in_its_tasks_and_in_threads_even_in_old_ones(guard: Guard) -> None:
    await asyncio.to_thread(int)  # the loop's pool has its thread, and that had no guard when it began
    loop = asyncio.get_running_loop()

    async def later() -> float:
        await asyncio.sleep(0)
        return time.time()

    async def yielding() -> AsyncGenerator[float]:
        await asyncio.sleep(0)
        yield time.time_ns()

    async def through_a_thread() -> None:
        thread = threading.Thread(target=lambda: random.random())
        thread.start()
        await asyncio.to_thread(thread.join)

    acts: list[tuple[Callable[[], Any], str]] = [
        (lambda: asyncio.create_task(later()), "time.time"),
        (lambda: asyncio.gather(later(), later()), "time.time"),
        (lambda: anext(yielding()), "time.time_ns"),
        (lambda: asyncio.to_thread(lambda: time.time()), "time.time"),
        (lambda: asyncio.to_thread(time.time), "time.time"),
        (lambda: asyncio.to_thread(uuid.uuid4), "uuid.uuid4"),
        (lambda: loop.run_in_executor(None, time.time), "time.time"),
        (lambda: loop.run_in_executor(None, lambda: random.random()), "random.random"),
        (through_a_thread, "random.random"),
    ]
    for act, what in acts:
        with guard.acting() as found:
            await act()
        assert [around.what for around in found] == [what]
        assert what == "time.time" or HERE in found[0].where
    await loop.run_in_executor(None, time.time)  # nobody's
    with guard.acting() as found, ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: time.time()).result()
        with guard.aside():
            pool.submit(lambda: random.random()).result()
    assert [around.what for around in found] == ["time.time"]


async def test_connections_of_asyncio_and_its_processes_are_refused(guard: Guard) -> None:
    with guard.acting() as found:
        with pytest.raises(ReachedAround):
            await asyncio.open_connection("127.0.0.1", 9)
        with pytest.raises(ReachedAround):
            await asyncio.open_connection("localhost", 9)
        with pytest.raises(ReachedAround):
            await asyncio.create_subprocess_exec("true")
        with pytest.raises(ReachedAround):
            await asyncio.gather(asyncio.open_connection("127.0.0.1", 7))  # a task without a frame of the handler's
    assert [around.what for around in found] == [
        "connects to 127.0.0.1:9", "looks up localhost:9", "runs true", "connects to 127.0.0.1:7",
    ]  # fmt: skip


def a_context() -> Context[Any]:
    happened = Event(id=new_id(), type="t", subject="s", body=b"{}", position=Position(0, 1, 0))
    delivery = cast(Delivery, type("Delivered", (), {"event": happened, "inbox": "a"})())
    return Context(cast(Any, None), "a", delivery, "handle", 1, None, None)


def imports_something() -> None:
    sys.modules.pop("colorsys", None)
    import colorsys

    assert colorsys


@pytest.mark.parametrize(
    "act",
    [
        lambda: a_context().now() + timedelta(days=1),
        lambda: a_context().random.random(),
        lambda: a_context().random.shuffle([1, 2, 3]),
        lambda: a_context().new_id(),
        lambda: a_context().log.info("said"),
        lambda: logging.getLogger("a").warning("said"),
        lambda: structlog.get_logger("a").info("said"),
        lambda: random.Random(3).random(),
        lambda: numpy.random.default_rng(3).random(),
        lambda: ModelledInC(at=datetime(2026, 1, 1, tzinfo=UTC)),
        lambda: random.Random("seed").choice([1, 2]),
        lambda: uuid.UUID("12345678123456781234567812345678"),
        lambda: uuid.uuid5(uuid.NAMESPACE_DNS, "a"),
        lambda: json.loads(json.dumps({"a": 1})),
        lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=1),
        lambda: datetime.fromisoformat("2026-01-01"),
        lambda: datetime.strptime("2026", "%Y"),  # noqa: DTZ007
        lambda: datetime.fromtimestamp(3, UTC).isoformat(),
        lambda: time.strftime("%Y", time.gmtime(3)),
        lambda: time.localtime(3),
        time.monotonic,
        time.perf_counter,
        imports_something,
        lambda: io.BytesIO().write(b"x"),
        lambda: sys.stdout.write("said"),
        lambda: open(os.devnull, "w").close(),
        lambda: sqlite3.connect(":memory:").close(),
        lambda: contextvars.copy_context().run(int),
    ],
)
def test_what_is_no_sin_is_not_named(guard: Guard, act: Callable[[], Any]) -> None:
    assert named(guard, act) == []


async def test_waiting_is_no_sin(guard: Guard) -> None:
    with guard.acting() as found:
        await asyncio.sleep(0.001)
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
    assert found == []


def test_a_time_stamp_that_a_users_processor_gives_its_log_lines_is_no_sin(guard: Guard) -> None:
    def stamp(logger: Any, method: str, line: Any) -> Any:
        return {**line, "at": time.time()}

    logger = structlog.wrap_logger(structlog.ReturnLogger(), processors=[stamp, structlog.processors.JSONRenderer()])
    assert named(guard, lambda: logger.info("said")) == []


def test_nothing_is_named_outside_handlers_and_nothing_is_refused_there(guard: Guard, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("x")
    with guard.acting() as found:
        pass
    assert time.time() > 0
    assert found == []


def test_the_same_place_is_named_once_and_the_list_is_bounded(guard: Guard) -> None:
    assert named(guard, lambda: [time.time() for _ in range(3)]) == ["time.time"]
    places: str = "def many():\n" + "    time.time()\n" * (MAX_AROUND + 20)
    space: dict[str, Any] = {"time": time}
    exec(compile(places, "many.py", "exec"), space)
    assert len(named(guard, space["many"])) == MAX_AROUND


def test_what_was_set_before_goes_on_and_is_there_again() -> None:
    seen: list[str] = []

    def profile(frame: Any, event: str, arg: Any) -> None:
        seen.append(event)

    submit, start, rand = ThreadPoolExecutor.submit, threading.Thread.start, numpy.random.rand
    sys.setprofile(profile)
    try:
        with Guard() as outer, Guard() as inner:
            assert named(inner, lambda: time.time()) == ["time.time"]
            assert named(outer, lambda: random.random()) == ["random.random"]
            during = len(seen)
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
    assert during > 0
    assert threading.getprofile() is None
    assert (ThreadPoolExecutor.submit, threading.Thread.start) == (submit, start)
    assert numpy.random.rand is rand


def test_a_temporary_file_is_refused_too(guard: Guard) -> None:
    with guard.acting() as found, pytest.raises(ReachedAround), tempfile.TemporaryDirectory():
        pass
    assert "file" in [around.kind for around in found]


def test_an_actor_that_is_installed_like_a_library_is_a_handler_all_the_same(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "their_agents"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import time\nclass Agent:\n    def act(self):\n        return time.time()\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site-packages"), *sys.path])
    agent = importlib.import_module("their_agents").Agent()
    with guard.acting(agent) as found:
        agent.act()
    assert [(around.what, around.where) for around in found] == [("time.time", "__init__.py, line 4, in act")]
    monkeypatch.delitem(sys.modules, "their_agents")


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        (json.__file__, Whose.LIBRARY),
        (logging.__file__, Whose.INERT),
        (structlog.__file__, Whose.INERT),
        (pytest.__file__, Whose.LIBRARY),
        ("<frozen importlib._bootstrap>", Whose.INERT),
        ("<frozen posixpath>", Whose.LIBRARY),
        ("<stdin>", Whose.HANDLER),
        (__file__, Whose.HANDLER),
        ("/home/someone/agents/report.py", Whose.HANDLER),
        (f"{HERE_OF_ROOST}actors/context.py", Whose.CORE),
        (f"{HERE_OF_ROOST}streams/event.py", Whose.CORE),
        (f"{HERE_OF_ROOST}actors/report/report.py", Whose.HANDLER),
        (f"{HERE_OF_ROOST}actors/models/offline.py", Whose.LIBRARY),
        (f"{ROOT}actors/memory.py", Whose.CORE),
        (f"{ROOT}examples/agents.py", Whose.HANDLER),
    ],
)
def test_each_file_is_a_handlers_a_librarys_or_roosts_own(path: str, whose: Whose) -> None:
    def act() -> None: ...

    assert whose_code(act.__code__.replace(co_filename=path)) is whose
