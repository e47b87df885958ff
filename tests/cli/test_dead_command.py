"""`roost dead`: deliveries that were given up, in people's hands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from roost_tests.command import RoostCommand
from roost_tests.crew import events_of
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, on
from roost.streams import event

EVIL = "a\x1b]0;owned\x07b\x9b31m\u202ec\n[bold red]d[/]"


@event("post.sent")
@dataclass(frozen=True, slots=True)
class Sent:
    to: str
    text: str = ""


@event("post.paid")
@dataclass(frozen=True, slots=True)
class Paid:
    receipt: str


class Postman(Actor):
    """Knows no address until `knows` says so."""

    retry = Retry(1)
    knows = False

    @on(Sent)
    async def carry(self, sent: Sent, ctx: Context[None]) -> None:
        if not self.knows:
            raise LookupError(f"no address for {sent.to}")


class Clerk(Actor):
    retry = Retry(1)

    @on(Sent, key=lambda sent: sent.to)
    async def book(self, sent: Sent, ctx: Context[None]) -> None:
        raise ValueError(EVIL)


class Payer(Actor):
    """Pays, and does not know whether the bank got it."""

    circuit = None

    @on(Sent)
    async def pay(self, sent: Sent, ctx: Context[None]) -> Paid:
        return Paid(await ctx.effect(f"pay/{sent.to}", self.transfer))

    async def transfer(self, key: str) -> str:
        raise ConnectionError("the line went dead")


class SaferPayer(Payer):
    name = "Payer"

    async def transfer(self, key: str) -> str:
        return "paid now"


async def park(flock: Flock, *sent: Sent, actor: Actor | type[Actor] = Postman, run: str | None = None) -> None:
    before = await flock.dead.count()
    async with flock.work(actor, run=run if actor is Clerk else None):
        await flock.append(*sent, run=run)
        await wait_until(lambda: has_parked(flock, before + len(sent)))


async def has_parked(flock: Flock, count: int) -> bool:
    return await flock.dead.count() == count


async def ids_of(flock: Flock, **wanted: Any) -> list[str]:
    return [parked.id async for parked in flock.dead.list(**wanted)]


async def test_what_is_parked_is_listed_the_last_first_and_no_control_character_gets_through(
    roost: RoostCommand, flock: Flock
) -> None:
    await park(flock, Sent("Elm Lane"))
    await park(flock, Sent(EVIL), actor=Clerk, run="5e" * 12)
    old, new = await ids_of(flock)
    narrow, wide, as_json, chosen, none = await asyncio.gather(
        roost("dead", COLUMNS="80"),
        roost("dead", "list", COLUMNS="120"),
        roost("dead", "--json"),
        roost("dead", "--run", "5e", "list", "--json", "--actor", "Clerk"),
        roost("dead", "--actor", "Nobody"),
    )
    lines = narrow.out.splitlines()
    assert lines[0].split() == ["ID", "Actor", "Event", "Error", "Tries", "Parked"]
    assert [line[:8] for line in lines[1:]] == [new[:8], old[:8]]
    assert "LookupError: no address" in lines[2]
    assert max(map(len, lines)) <= 80
    assert "About" in wide.out
    assert narrow.danger + wide.danger + as_json.danger == []
    assert [line["id"] for line in as_json.json_lines] == [new, old]
    assert [line["id"] for line in chosen.json_lines] == [new]
    assert (none.code, none.out) == (0, "")
    assert none.err.endswith("nothing of that kind is parked in flock " + flock.name + "\n")


async def test_one_is_shown_with_everything_and_what_to_do_next(roost: RoostCommand, flock: Flock) -> None:
    await park(flock, Sent(EVIL, "x" * 9_000), actor=Clerk, run="5e" * 12)
    [ident] = await ids_of(flock)
    card, narrow, as_json, wrong = await asyncio.gather(
        roost("dead", "show", ident[:6]),
        roost.on_terminal("dead", "show", ident, columns=80),
        roost("dead", "show", ident, "--json"),
        roost("dead", "show", "zz"),
    )
    document = as_json.json
    assert (document["id"], document["actor"], document["handler"], document["key"]) == (ident, "Clerk", "book", EVIL)
    assert (document["error"], document["message"], document["attempts"], document["open"]) == (
        "ValueError", EVIL, 1, True
    )  # fmt: skip
    assert document["data"] == {"to": EVIL, "text": "x" * 9_000}
    assert document["appended"] <= document["first_attempt"] <= document["parked"]
    assert document["code"] == Clerk.code
    assert "raise ValueError(EVIL)" in document["traceback"]
    assert card.danger + narrow.danger + as_json.danger == []
    for said in (card.out, narrow.out):
        assert "raise ValueError(EVIL)" in said
        assert f"roost dead retry {ident[:8]}" in said
        assert f"roost dead drop {ident[:8]}" in said
        assert "more characters; --json prints all" in said
    assert (wrong.code, wrong.out) == (1, "")
    assert "'zz'" in wrong.err


async def test_retried_deliveries_are_handled_when_the_cause_is_mended(roost: RoostCommand, flock: Flock) -> None:
    await park(flock, Sent("Elm Lane"), Sent("Oak Lane"))
    first, second = await ids_of(flock)
    ran = await roost("dead", "retry", first[:10], second, "zz", "--by", "ada@nest", "--reason", "a new map")
    assert ran.code == 1  # one of the three was not there
    assert ran.out.splitlines() == [f"post.sent ({one[:8]}) goes back to Postman" for one in (first, second)]
    assert "'zz'" in ran.err
    postman = Postman()
    postman.knows = True
    async with flock.work(postman):
        await wait_until(lambda: has_handled(flock, 2))
    resumed = await events_of(flock, "delivery.resumed")
    assert [(one.data["parked"], one.data["by"], one.data["reason"]) for one in resumed] == [
        (first, "ada@nest", "a new map"), (second, "ada@nest", "a new map")
    ]  # fmt: skip
    assert await flock.dead.count() == 0


async def has_handled(flock: Flock, count: int) -> bool:
    return len(await events_of(flock, "delivery.handled")) == count


async def test_all_that_is_chosen_is_dropped_once_a_person_has_said_yes(roost: RoostCommand, flock: Flock) -> None:
    await park(flock, Sent("Elm Lane"), Sent("Oak Lane"))
    await park(flock, Sent("Ash Lane"), actor=Clerk, run="5e" * 12)
    no, unasked, both, neither = await asyncio.gather(
        roost.on_terminal("dead", "drop", "--all", typed=b"n\n"),
        roost("dead", "drop", "--all"),
        roost("dead", "drop", "--all", "3f"),
        roost("dead", "retry"),
    )
    assert (no.code, "Drop, for good, 3 parked deliveries?" in no.out) == (1, True)
    assert [ran.code for ran in (unasked, both, neither)] == [2, 2, 2]
    assert "--yes" in unasked.err
    assert await flock.dead.count() == 3
    of_run = await roost("dead", "--run", "5e", "drop", "--all", "--yes", "--json")
    assert [(line["outcome"], of_run.code) for line in of_run.json_lines] == [("dropped", 0)]
    rest = await roost.on_terminal("dead", "drop", "--all", typed=b"y\n")
    assert (rest.code, await flock.dead.count()) == (0, 0)
    assert len(await events_of(flock, "delivery.dropped")) == 3


async def test_what_belongs_to_a_run_that_has_ended_is_not_retried(roost: RoostCommand, flock: Flock) -> None:
    async with flock.work(Clerk, run="r1") as [worker]:
        await flock.append(Sent("Ash Lane"), run="r1")
        await wait_until(lambda: has_parked(flock, 1))
        await worker.take_away()
    [ident] = await ids_of(flock)
    ran, shown = await asyncio.gather(roost("dead", "retry", ident), roost("dead", "show", ident))
    assert (ran.code, ran.out) == (1, "")
    assert "its run has ended" in ran.err
    assert "cannot be retried" in shown.out
    assert await flock.dead.count() == 1


async def test_an_effect_that_nobody_knows_of_is_settled_and_its_delivery_goes_on(
    roost: RoostCommand, flock: Flock
) -> None:
    await park(flock, Sent("Elm Lane"), Sent("Oak Lane"), actor=Payer)
    first, second = await ids_of(flock)
    shown, unsaid, both, odd = await asyncio.gather(
        roost("dead", "show", first),
        roost("dead", "settle", first),
        roost("dead", "settle", first, "--done", "--undone"),
        roost("dead", "settle", first, "--done", "--result", "no JSON"),
    )
    assert f"roost dead settle {first[:8]} --undone" in shown.out
    assert [ran.code for ran in (unsaid, both, odd)] == [2, 2, 2]
    [effect] = [parked.effect async for parked in flock.dead.list() if parked.id == first]
    done, undone = await asyncio.gather(
        roost("dead", "settle", first, "--done", "--result", '"paid before"', "--by", "ada"),
        roost("dead", "settle", second[:9], "--undone", "--json"),
    )
    assert (done.code, done.out.splitlines()[0]) == (0, f"the effect {effect} has happened")
    assert (undone.code, undone.json["outcome"]) == (0, "resumed")
    async with flock.work(SaferPayer):
        await wait_until(lambda: has_handled(flock, 2))
    receipts = {paid.data["receipt"] for paid in await events_of(flock, "post.paid")}
    assert receipts == {"paid before", "paid now"}
    settled = await events_of(flock, "effect.settled")
    assert "ada" in {one.data["by"] for one in settled}


async def test_what_was_not_parked_for_an_effect_cannot_be_settled(roost: RoostCommand, flock: Flock) -> None:
    await park(flock, Sent("Elm Lane"))
    [ident] = await ids_of(flock)
    ran = await roost("dead", "settle", ident, "--done")
    assert (ran.code, ran.out) == (1, "")
    assert "was not parked for an outside effect, but for LookupError" in ran.err
    assert await flock.dead.count() == 1


async def test_status_tells_how_many_wait_for_a_decision(roost: RoostCommand, flock: Flock) -> None:
    await park(flock, Sent("Elm Lane"))
    ran, as_json = await asyncio.gather(roost("status"), roost("status", "--json"))
    hint = f"1 parked delivery waits for a decision in flock {flock.name}: `roost dead --flock {flock.name}`"
    assert hint in ran.err
    assert [one["parked"] for one in as_json.json["flocks"] if one["name"] == flock.name] == [1]


@pytest.mark.parametrize("words", [["dead", "--help"], ["dead", "retry", "--help"], ["dead", "shwo"]])
async def test_help_names_the_commands_and_their_options(roost: RoostCommand, words: list[str]) -> None:
    ran = await roost(*words)
    assert ran.code == (2 if words[-1] == "shwo" else 0)
    said = {"--help": ["show", "retry", "drop"], "shwo": ["shwo"]}[words[-1]] if len(words) == 2 else ["--reason"]
    assert all(word in ran.out + ran.err for word in said)
