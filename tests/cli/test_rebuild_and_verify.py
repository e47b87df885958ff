"""`roost verify` and `roost rebuild`: what was changed by hand is found, named, and made again."""

from __future__ import annotations

from roost_tests import coins
from roost_tests.coins import Cashier, Coins, Dropped
from roost_tests.command import RoostCommand
from roost_tests.waiting import wait_until

from roost.actors import Flock

OWN = ("--actors", str(coins.__file__), "--module", str(coins.__file__))


async def test_verify_tells_what_is_wrong_and_rebuild_mends_it(roost: RoostCommand, flock: Flock) -> None:
    note = await flock.memory.put("a finding", key="k")
    key, ask = flock.shard.keys.key, flock.shard.command
    await ask("HSET", key("note", note.id), "size", "\x1b[31m7")
    await ask("HDEL", key("versions"), "key/k")
    wrong = await roost("verify")
    assert (wrong.code, wrong.danger) == (1, [])
    assert f"size of note {note.id}" in wrong.out
    assert "version of key/k" in wrong.out
    assert [row["name"] for row in (await roost("rebuild", "--json")).json["rebuilt"]] == ["notes and versions"]
    clean = await roost("verify", "--content", "--json")
    assert (clean.code, clean.json["clean"], clean.json["contents"]) == (0, True, 1)


async def test_states_and_projections_of_ones_own_are_verified_and_rebuilt(roost: RoostCommand, flock: Flock) -> None:
    async with flock.work(Cashier):
        await flock.append(Dropped("a", 5), Dropped("b", 7), Dropped("a", 1))
        view = flock.view(Coins)

        async def all_are_counted() -> bool:
            await view.catch_up()
            return await view.get("all") == {"cents": 13}

        await wait_until(all_are_counted)
    key, ask = flock.shard.keys.key, flock.shard.command
    await ask("HSET", key("state", "Cashier"), "a", b'2 {"cents":60}')
    await ask("HDEL", key("state", "Cashier"), "b")
    await ask("HSET", key("view", "coins/1"), "all", b'{"cents":1}')
    wrong = await roost("verify", "--json", *OWN)
    named = [finding["what"] for finding in wrong.json["findings"]]
    assert (wrong.code, named) == (1, ["row all of view coins/1", "state of actor/Cashier/a"])
    rebuilt = (await roost("rebuild", "--json", *OWN)).json["rebuilt"]
    assert {row["name"]: row.get("mended") for row in rebuilt} == {
        "notes and versions": None, "states of Cashier": 2, "coins": None
    }  # fmt: skip
    assert await ask("HGET", key("state", "Cashier"), "b") == b'1 {"cents":7}'
    clean = await roost("verify", *OWN[:2])
    assert (clean.code, "all is as the log says" in clean.out) == (0, True)
    assert "coins was not verified" in clean.err


async def test_what_cannot_be_rebuilt_is_wrong_usage(roost: RoostCommand, flock: Flock) -> None:
    await flock.memory.put("a finding")
    assert (await roost("rebuild", "nothing")).code == 2
    assert "--actors" in (await roost("rebuild", "states")).err
    missing = await roost("verify", ROOST_FLOCK="not-there")
    assert (missing.code, "there is no flock" in missing.err) == (1, True)
