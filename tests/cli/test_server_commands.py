"""`roost up`, `down` and `status`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import roost_tests
from roost_tests.bare_cluster import BareCluster
from roost_tests.bare_server import BareServer
from roost_tests.command import RoostCommand

from roost.actors import Flock
from roost.actors.standing.durability import SENTENCES, find_durability
from roost.streams import Event, Inbox, connect

UP_AT_ONCE = 10
CLERKS = str(Path(roost_tests.__file__).with_name("clerks.py"))


async def test_ten_ups_at_once_start_one_server_and_down_stops_it(roost_at_home: RoostCommand, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    before = (await roost_at_home("status", "--json")).json
    assert before["server"]["running"] is False
    ups = await asyncio.gather(*[roost_at_home("up", "--json") for _ in range(UP_AT_ONCE)])
    assert [up.code for up in ups] == [0] * UP_AT_ONCE
    assert sum(up.json["started"] for up in ups) == 1
    assert {(up.json["pid"], up.json["home"]) for up in ups} == {(ups[0].json["pid"], home)}

    again, told, facts = await asyncio.gather(
        roost_at_home("up"), roost_at_home("status"), roost_at_home("status", "--json")
    )
    assert again.out.startswith("runs already: ")
    assert "`roost down`" in again.out
    assert SENTENCES["everysec"] in told.out
    assert home in told.out
    server = facts.json["server"]
    assert server["pid"] == ups[0].json["pid"]
    assert server["headroom"] == server["maxmemory"] - server["memory_used"]
    assert (server["running"], server["durability"], facts.json["flocks"]) == (True, "everysec", [])

    down = await roost_at_home("down")
    assert (down.code, down.out) == (0, f"stopped the server; its data stays in {home}\n")
    nothing, after = await asyncio.gather(roost_at_home("down", "--json"), roost_at_home("status"))
    assert nothing.json == {"stopped": False, "home": home}
    assert after.code == 0
    assert "no; it starts with `roost up`" in after.out


async def test_a_command_that_starts_the_server_says_so_and_status_starts_none(roost_at_home: RoostCommand) -> None:
    looked = await roost_at_home("log")
    assert looked.code == 0
    assert looked.out == ""
    assert looked.err.splitlines()[0].startswith("roost: started Roost's own server in ")
    assert looked.err.splitlines()[1:] == ["roost: flock default has no events"]


async def test_status_counts_what_each_flock_holds(roost: RoostCommand, flock: Flock, flock_name: str) -> None:
    await Inbox(flock.shard, "Clerk", "c").subscribe(["note.written"])
    await Inbox(flock.shard, "Idler", "c").subscribe(["no.such"])
    for number in range(3):
        await flock.memory.put(f"note {number}", ttl=None)
    (told, facts) = await asyncio.gather(roost("status"), roost("status", "--json"))
    assert facts.json["complete"] is True
    [one] = facts.json["flocks"]
    assert (one["name"], one["events"], one["notes"], one["inbox_count"]) == (flock_name, 3, 3, 2)
    inbox = one["inboxes"][0]
    assert 0 <= inbox.pop("oldest_s") < 60
    assert inbox == {"inbox": "Clerk", "length": 3, "pending": 0, "waiting": 0, "parked": 0, "limit": None}
    lines = [line.split() for line in told.out.splitlines()]
    assert [flock_name, "3", "3", "2"] in lines
    assert lines.index(["Clerk", flock_name, "3", "0", "0", "0"]) < lines.index(
        ["Idler", flock_name, "0", "0", "0", "0"]
    )


async def test_a_flocks_durability_is_chosen_by_its_first_workers_and_shown_by_status(
    roost: RoostCommand, flock_name: str, server_url: str
) -> None:
    wrong = await roost("work", CLERKS, "--durability", "safe")
    assert wrong.code == 2
    assert wrong.err == "roost: 'safe' is no durability: choose memory, disk, replicated or replicated:N\n"
    few = await roost("work", CLERKS, "--durability", "replicated:2")
    assert few.code == 2
    assert "has 0 replicas now: start more of them" in few.err.splitlines()[-1]
    async with Flock.open(flock_name, server_url, durability="disk") as flock:
        await flock.memory.put("a note")
    other = await roost("work", CLERKS, "--durability", "memory")
    assert "was made with the durability disk, which stays" in other.err.splitlines()[-1]
    (told, facts) = await asyncio.gather(roost("status"), roost("status", "--json"))
    assert [flock_name, "1", "1", "0", "disk"] in [line.split() for line in told.out.splitlines()]
    assert facts.json["flocks"][0]["durability"] == "disk"


async def test_up_with_a_server_elsewhere_only_asks_whether_it_answers(
    roost_at_home: RoostCommand, bare_server: Callable[..., Awaitable[BareServer]]
) -> None:
    server = await bare_server("--requirepass", "the-password", "--maxmemory", "100mb")
    url = server.url.replace("//", "//:the-password@")
    up, as_json = await asyncio.gather(roost_at_home("up", ROOST_URL=url), roost_at_home("up", "--json", ROOST_URL=url))
    assert up.code == 0
    assert "not Roost's own" in up.out
    assert as_json.json["started"] is False
    assert as_json.json["home"] is None
    assert "the-password" not in up.out + as_json.out


async def test_status_warns_when_memory_runs_out(
    roost_at_home: RoostCommand, bare_server: Callable[..., Awaitable[BareServer]]
) -> None:
    server = await bare_server("--maxmemory", "20mb")
    async with await connect(server.url) as connection:
        for number in range(165):
            await connection.client.set(f"filler-{number}", b"x" * 100_000)
    warned = await roost_at_home("status", "--json", ROOST_URL=server.url)
    assert warned.code == 0
    assert "memory is 8" in warned.err
    assert 0 < warned.json["server"]["headroom"] < 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("options", "durability"),
    [
        (("--appendonly", "yes", "--appendfsync", "always"), "always"),
        (("--appendonly", "yes", "--appendfsync", "no"), "no"),
        (("--save", "60 1"), "snapshots"),
        ((), "none"),
        (("--rename-command", "CONFIG", ""), "unknown"),
        (("--appendonly", "yes", "--rename-command", "CONFIG", ""), "append-only"),
    ],
)
async def test_durability_is_told_as_the_server_is_set(
    options: tuple[str, ...], durability: str, bare_server: Callable[..., Awaitable[BareServer]]
) -> None:
    server = await bare_server(*options)
    async with await connect(server.url) as connection:
        found = await find_durability(connection.client, appends=connection.facts.appendonly)
    assert found == durability
    assert SENTENCES[found]


@pytest.mark.long
async def test_status_finds_the_flocks_of_a_cluster_on_all_its_nodes(
    roost_at_home: RoostCommand, bare_cluster: Callable[[int], Awaitable[BareCluster]]
) -> None:
    cluster = await bare_cluster(3)
    names = [f"flock-{number}" for number in range(6)]
    for name in names:
        async with Flock.open(name, cluster.url) as flock:
            await flock.memory.put("a note")
    facts = (await roost_at_home("status", "--json", ROOST_URL=cluster.url)).json
    assert [(one["name"], one["events"], one["notes"]) for one in facts["flocks"]] == [(name, 1, 1) for name in names]


async def test_status_shows_what_has_left_and_who_keeps_the_rest(
    roost: RoostCommand, flock: Flock, flock_name: str, tmp_path: Path
) -> None:
    await flock.memory.put("one", ttl=None)
    before = await roost("status", "--json")
    [one] = before.json["flocks"]
    assert (one["log"]["archive"], one["log"]["horizon"], one["log"]["trimmed"]) == (None, [], 0)
    assert one["log"]["log_bytes"] > 0
    last = await flock.log.last()
    await flock.shard.command("HSET", flock.shard.keys.key("marks"), "bridge/mine", last.entry)
    await flock.memory.put("two", ttl=None)
    archived = await roost("archive", "--to", str(tmp_path / "there"))
    assert archived.code == 0
    (told, facts) = await asyncio.gather(roost("status"), roost("status", "--json"))
    [one] = facts.json["flocks"]
    assert (one["log"]["horizon"], one["log"]["trimmed"], one["log"]["archive_lag_s"]) == ([str(last)], 1, 0)
    assert (one["log"]["archive"], one["log"]["kept_by"]) == (str(tmp_path / "there"), "bridge/mine")
    assert "nobody runs bridge/mine, which is behind, for" in facts.err
    assert "Archive of" in told.out


async def test_status_warns_in_time_before_events_fill_the_server(
    roost_at_home: RoostCommand, bare_server: Callable[..., Awaitable[BareServer]]
) -> None:
    server = await bare_server("--maxmemory", "24mb")
    async with Flock.open("filling", server.url) as flock:
        body = b'{"text":"%s"}' % (b"x" * 4000)
        for _ in range(20):
            await flock.append(*[Event(type="page.seen", subject="page/1", body=body) for _ in range(50)])
    warned = await roost_at_home("status", ROOST_URL=server.url)
    assert "at the rate at which events are written the server is full in" in warned.err
