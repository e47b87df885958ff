"""`roost acl`: users of a real server, who do the whole main job, and nothing that their role does not take."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError, ResponseError
from roost_tests.bare_server import BareServer
from roost_tests.command import RoostCommand

from roost.actors import Flock
from roost.streams import AccessRefused, Keys, RoostError, connect
from roost.streams.access.roles import ROLES, rules_of
from roost.streams.bell import Bell
from roost.streams.url import ServerUrl

OWLS = "# Owls\n\nOwls hunt at night. They hear very well.\n\n# Storks\n\nStorks walk in wet meadows. They eat frogs.\n"
FORBIDDEN = [
    "FLUSHALL", "FLUSHDB", "CONFIG GET maxmemory", "CONFIG SET maxmemory 1", "KEYS *", "SHUTDOWN",
    "ACL LIST", "ACL SETUSER x on", "SCRIPT FLUSH", "SCRIPT KILL", "FUNCTION FLUSH", "MONITOR", "REPLICAOF NO ONE",
    "CLIENT KILL TYPE normal", "CLIENT LIST", "SAVE", "BGREWRITEAOF", "SCAN 0", "RANDOMKEY", "SWAPDB 0 1",
    "MIGRATE h 1 k 0 1",
    "PUBLISH x y", "SUBSCRIBE x", "PSUBSCRIBE *", "SLOWLOG GET", "MODULE LIST", "SORT a", "DBSIZE", "LATENCY RESET",
]  # fmt: skip


@dataclass(frozen=True)
class Guarded:
    """A server with users, and one of each role in flock `owls`."""

    server: BareServer
    roost: RoostCommand

    def url(self, role: str) -> str:
        return f"redis://{role}er:{(self.roost.directory / role).read_text().strip()}@127.0.0.1:{self.server.port}"

    def client(self, role: str) -> Any:
        url = ServerUrl.parse(self.url(role))
        return redis.Redis(port=self.server.port, username=url.username, password=url.password)


@pytest.fixture
async def guarded(bare_server: Callable[..., Awaitable[BareServer]], tmp_path: Path) -> Guarded:
    (tmp_path / "users.acl").touch()
    server = await bare_server("--aclfile", str(tmp_path / "users.acl"))
    roost = RoostCommand(tmp_path, ROOST_URL=server.url, ROOST_FLOCK="owls")
    for role in ROLES:
        done = await roost("acl", "add", f"{role}er", "--role", role, "--password-file", str(tmp_path / role))
        assert done.code == 0, done.err
    async with Flock.open("storks", server.url) as other:
        await other.memory.put("of the storks", key="secret")
    return Guarded(server, roost)


async def test_the_main_job_is_done_by_users_who_may_only_write_in_their_flock(
    guarded: Guarded, tmp_path: Path
) -> None:
    (tmp_path / "owls.md").write_text(OWLS)
    done = await guarded.roost("run", str(tmp_path / "owls.md"), "--processes", "2", ROOST_URL=guarded.url("write"))
    assert done.code == 0, done.err
    assert "Owls hunt at night" in done.out
    shown = [
        await guarded.roost(*words, ROOST_URL=guarded.url("read"))
        for words in (("log",), ("notes",), ("report",), ("status",), ("dead",), ("views",))
    ]
    assert [each.code for each in shown] == [0] * 6, [each.err for each in shown]
    assert "owls" in shown[3].out
    assert "storks" not in shown[3].out + shown[3].err
    operated = [
        await guarded.roost(*words, ROOST_URL=guarded.url("operate"))
        for words in (
            ("verify", "--content"),
            ("rebuild", "notes"),
            ("archive", "--to", str(tmp_path / "a")),
            ("status",),
        )
    ]
    assert [each.code for each in operated] == [0] * 4, [each.err for each in operated]


async def test_a_password_is_kept_where_only_its_owner_reads_it_and_the_server_has_its_hash(
    guarded: Guarded, tmp_path: Path
) -> None:
    assert stat.S_IMODE((tmp_path / "write").stat().st_mode) == 0o600
    saved = (tmp_path / "users.acl").read_text()
    assert "writeer" in saved
    assert (tmp_path / "write").read_text().strip() not in saved
    listed = await guarded.roost("acl", "list", "--json")
    assert {each["user"]: each["role"] for each in listed.json["users"]} == {f"{role}er": role for role in ROLES}


@pytest.mark.parametrize("role", ["read", "write"])
async def test_nothing_is_allowed_that_harms_others(guarded: Guarded, role: str) -> None:
    def try_all() -> list[str]:
        allowed: list[str] = []
        with guarded.client(role) as client:
            for command in FORBIDDEN:
                try:
                    client.execute_command(*command.split())
                except NoPermissionError:
                    continue
                allowed.append(command)
        return allowed

    assert await asyncio.to_thread(try_all) == []


@pytest.mark.parametrize("role", ROLES)
async def test_another_flock_is_neither_read_nor_written(guarded: Guarded, role: str) -> None:
    log, notes = Keys("storks").log, Keys("storks").key("keys")
    tries = [
        ("XRANGE", log, "-", "+"), ("XADD", log, "*", "type", "x"), ("HGETALL", notes), ("HSET", notes, "a", "b"),
        ("DEL", log), ("EVAL", "return redis.call('XLEN', KEYS[1])", 1, log),
        ("EVAL", "return redis.call('XLEN', ARGV[1])", 1, Keys("owls").log, log),
        ("XRANGE", "roost:{owls.0.1}:log", "-", "+"), ("XRANGE", "roost:{owls.x}:log", "-", "+"),
        ("XRANGE", "roost:{owls}:log", "-", "+"), ("GET", "other"),
    ]  # fmt: skip

    def try_all() -> list[Any]:
        allowed: list[Any] = []
        with guarded.client(role) as client:
            for words in tries:
                try:
                    client.execute_command(*words)
                except NoPermissionError:
                    continue
                except ResponseError as error:
                    if "ACL failure" in str(error) or "non local key" in str(error):
                        continue
                allowed.append(words)
            assert client.execute_command("XLEN", Keys("owls").log) == 0, "its own it may read"
        return allowed

    assert await asyncio.to_thread(try_all) == []
    with pytest.raises(AccessRefused, match="role takes it"):
        async with Flock.open("storks", guarded.url(role)):
            pass


async def test_news_of_another_flock_is_not_heard(guarded: Guarded) -> None:
    async with await connect(guarded.url("write")) as connection:
        bell = Bell(connection.pushes(), Keys("storks"))
        with pytest.raises((RoostError, TimeoutError)):
            async with asyncio.timeout(3):
                await bell.start()
        await bell.close()


async def test_who_may_only_read_changes_nothing(guarded: Guarded) -> None:
    async with Flock.open("owls", guarded.url("write")) as flock:
        note = await flock.memory.put("Owls hunt at night.", key="owls")
    before = await guarded.roost("log", "--json")
    refused = [
        await guarded.roost(*words, ROOST_URL=guarded.url("read"))
        for words in (("note", note.id), ("forget", note.id, "--yes"), ("rebuild", "notes"), ("seal",))
    ]
    for each in refused:
        assert each.code == 1, each
        assert "does not let this user do that" in each.err
    assert (await guarded.roost("log", "--json")).out == before.out


async def test_a_user_is_not_replaced_unless_that_is_said_and_is_removed_for_good(guarded: Guarded) -> None:
    again = await guarded.roost("acl", "add", "writeer", "--role", "read")
    assert (again.code, "--replace" in again.err) == (2, True)
    done = await guarded.roost("acl", "add", "writeer", "--role", "read", "--replace")
    assert done.code == 0
    assert len(done.out.strip()) >= 32, "the new password, once"
    gone = await guarded.roost("acl", "remove", "writeer")
    assert (gone.code, gone.out) == (0, "removed user writeer\n")
    missing = await guarded.roost("acl", "remove", "writeer")
    assert (missing.code, "no user" in missing.err) == (1, True)
    not_admin = await guarded.roost("acl", "list", ROOST_URL=guarded.url("operate"))
    assert (not_admin.code, "administrator" in not_admin.err) == (1, True)


@pytest.mark.parametrize("name", ["default", "a b", "", "x" * 65, "é"])
async def test_a_name_that_cannot_be_a_user_s_is_refused(guarded: Guarded, name: str) -> None:
    done = await guarded.roost("acl", "add", name, "--role", "read")
    assert (done.code, done.out) == (2, "")


async def test_a_server_that_keeps_users_in_no_file_is_told_of(
    bare_server: Callable[..., Awaitable[BareServer]], tmp_path: Path
) -> None:
    server = await bare_server()
    roost = RoostCommand(tmp_path, ROOST_URL=server.url)
    done = await roost("acl", "add", "reader", "--role", "read", "--json")
    assert (done.code, done.json["saved"]) == (0, False)
    assert "after a restart" in done.err


async def test_the_rules_are_printed_without_a_server(roost: RoostCommand) -> None:
    done = await roost("acl", "rules", "--role", "write", "--flock", "owls", ROOST_URL="redis://127.0.0.1:1")
    assert done.code == 0
    assert tuple(done.out.split()) == rules_of("owls", "write")
    assert not {"+@all", "+flushall", "+keys", "+config", "~*", "&*"} & set(done.out.split())


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"short", "12 to"), (b"\xff\xfe" * 20, "password"), (b"", "one line of text (--password-file)")],
)
async def test_a_file_that_holds_no_good_password_is_told_of(
    guarded: Guarded, tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "bad").write_bytes(content)
    done = await guarded.roost("acl", "add", "new", "--role", "read", "--password-file", str(tmp_path / "bad"))
    assert (done.code, told in done.err) == (2, True)


async def test_a_password_comes_from_a_file(guarded: Guarded, tmp_path: Path) -> None:
    url = f"redis://writeer@127.0.0.1:{guarded.server.port}"
    done = await guarded.roost("notes", ROOST_URL=url, ROOST_PASSWORD_FILE=str(tmp_path / "write"))
    assert done.code == 0, done.err
    missing = await guarded.roost("notes", ROOST_URL=url, ROOST_PASSWORD_FILE=str(tmp_path / "none"))
    assert (missing.code, "ROOST_PASSWORD_FILE" in missing.err) == (2, True)
