"""The tools of `roost mcp`, one by one: what they do, and in what sentence they tell what is wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import types
from mcp.shared.exceptions import MCPError
from roost_tests.crew import events_of
from roost_tests.mcp_clients import MODES, Member, in_process
from roost_tests.own_server import OwnServer
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.adapters.mcp import Surface

KEY = "a summary of the guide"


@asynccontextmanager
async def client_of(
    name: str, url: str, *, agent: str = "robin", mode: str = "auto", **more: Any
) -> AsyncGenerator[Member]:
    """A client with a flock of its own: another process, as far as the others can tell."""
    async with AsyncExitStack() as stack:
        flock = await stack.enter_async_context(Flock.open(name, url, agent="mcp", **more))
        surface = await stack.enter_async_context(Surface.open(flock, agent=agent))
        yield await stack.enter_async_context(in_process(surface.server, mode=mode))


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncGenerator[Flock]:
    async with Flock.open(flock_name, server_url, agent="looker") as flock:
        yield flock


@pytest.mark.parametrize("mode", MODES)
async def test_models_are_told_what_each_tool_takes_gives_and_does(mode: str, flock: Flock) -> None:
    async with Surface.open(flock) as surface, in_process(surface.server, mode=mode) as member:
        tools = {tool.name: tool for tool in (await member.client.list_tools()).tools}
        assert "claim the work" in (member.client.instructions or "")
    assert list(tools) == [
        "remember", "recall", "search", "claim", "complete", "give_up", "working_on", "forget",
    ]  # fmt: skip
    assert all(len(tool.description or "") > 60 and tool.input_schema and tool.output_schema for tool in tools.values())
    hints = {name: tool.annotations for name, tool in tools.items() if tool.annotations is not None}
    assert {name for name, hint in hints.items() if hint.read_only_hint} == {"recall", "search", "working_on"}
    assert {name for name, hint in hints.items() if hint.destructive_hint} == {"forget"}
    assert tools["remember"].input_schema["required"] == ["content"]
    page = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `([a-z_]+)\((.*?)\)`", page, re.MULTILINE))
    assert {name: re.findall("[a-z_]+", given) for name, given in told.items()} == {
        name: list(tool.input_schema.get("properties", {})) for name, tool in tools.items()
    }


async def test_a_note_is_recalled_by_id_and_by_key_and_knows_where_it_comes_from(
    flock_name: str, server_url: str
) -> None:
    async with client_of(flock_name, server_url) as robin:
        page = await robin.call("remember", content="Owls hunt at night.", key="page/owls", tags=["page"])
        by_key = await robin.call("recall", key="page/owls")
        assert by_key["text"] == "Owls hunt at night."
        assert by_key["note"] == page
        made = await robin.call("remember", content="Owls: night.", ttl_seconds=60)
        assert made["sources"] == [page["id"]]
        assert (await robin.call("remember", content="x", sources=[]))["sources"] == []
        assert (await robin.call("recall", id=made["id"]))["text"] == "Owls: night."


async def test_a_large_note_is_read_in_parts(flock_name: str, server_url: str) -> None:
    text = "".join(f"line {n}: wrens äöü\n" for n in range(20_000))
    async with client_of(flock_name, server_url) as robin:
        note = await robin.call("remember", content=text)
        part = await robin.call("recall", id=note["id"])
        assert (len(part["text"]), part["total"], part["next_offset"]) == (20_000, len(text), 20_000)
        read = part["text"]
        while part["next_offset"] is not None:
            part = await robin.call("recall", id=note["id"], offset=part["next_offset"], limit=100_000)
            read += part["text"]
        assert read == text
        past = await robin.call("recall", id=note["id"], offset=len(text) + 5)
        assert (past["text"], past["next_offset"]) == ("", None)


async def test_binary_content_comes_as_an_embedded_resource_with_its_media_type(flock: Flock) -> None:
    note = await flock.memory.put(b"\x89PNG\r\n\x1a\n" + bytes(100), key="logo.png")
    async with Surface.open(flock) as surface, in_process(surface.server) as member:
        result = await member.client.call_tool("recall", {"id": note.id, "offset": 1, "limit": 3})
    part: Any = result.structured_content
    assert {name: part[name] for name in ("unit", "text", "total", "next_offset")} == {
        "unit": "bytes", "text": None, "total": 108, "next_offset": 4,
    }  # fmt: skip
    resource = result.content[1]
    assert isinstance(resource, types.EmbeddedResource)
    assert isinstance(resource.resource, types.BlobResourceContents)
    assert (resource.resource.mime_type, resource.resource.blob) == ("image/png", "UE5H")


async def test_search_tells_the_best_first_and_logs_only_what_it_shows(flock: Flock) -> None:
    await flock.memory.put("Wrens build many nests.", key="page/wrens", tags=["page"])
    owls = await flock.memory.put("Owls hunt. Owls see at night.", key="page/owls", tags=["page"])
    async with Surface.open(flock, agent="robin") as surface, in_process(surface.server) as member:
        found = await member.call("search", text="what do owls do at night?", tags=["page"])
        assert [hit["note"]["id"] for hit in found["hits"]] == [owls.id]
        assert (found["hits"][0]["begins"], found["looked_at"], found["all"]) == (owls.text, 1, True)
        assert (await member.call("search", text="herons"))["hits"] == []
    reads = await events_of(flock, "note.read")
    assert [(event.actor, event.data["note"]) for event in reads] == [("robin", owls.id)]


async def test_what_is_forgotten_is_gone_and_the_claims_of_others_stay_theirs(flock: Flock) -> None:
    note = await flock.memory.put("a secret", key="page/secret")
    async with Surface.open(flock) as surface, in_process(surface.server) as member:
        assert await member.call("forget", id=note.id) == {"id": note.id}
        assert "there is no note" in await member.refused("recall", id=note.id)
        assert "there is no note" in await member.refused("forget", id=note.id)


async def test_an_expired_note_is_told_as_one_that_is_not_there(flock: Flock) -> None:
    note = await flock.memory.put("short", key="k", ttl=timedelta(milliseconds=50))
    async with Surface.open(flock) as surface, in_process(surface.server) as member:

        async def has_gone() -> bool:
            return (await member.client.call_tool("recall", {"id": note.id})).is_error

        await wait_until(has_gone)
        assert "has expired" in await member.refused("recall", id=note.id)
        assert "has expired" in await member.refused("recall", key="k")


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("remember", {}, "wrong arguments: content: Field required"),
        (
            "remember",
            {"content": "x" * (4 * 1024 * 1024 + 1)},
            "content: String should have at most 4194304 characters",
        ),
        ("remember", {"content": "x", "key": "ä" * 300}, "a note's key has 1 to 512 bytes"),
        ("remember", {"content": "x", "tags": ["t"] * 33}, "tags: List should have at most 32 items"),
        ("remember", {"content": "x", "ttl_seconds": 0}, "ttl_seconds: Input should be greater than 0"),
        ("remember", {"text": "x"}, "text: Extra inputs are not permitted"),
        ("remember", {"content": "half a character: \ud800"}, "content: Input should be a valid string"),
        ("recall", {}, "give either the note's id or its key"),
        ("recall", {"id": "a", "key": "b"}, "give either the note's id or its key"),
        ("recall", {"id": "nobody"}, "there is no note 'nobody'"),
        ("recall", {"key": "nothing"}, "no note has the key 'nothing'"),
        ("recall", {"id": "a", "offset": -1}, "offset: Input should be greater than or equal to 0"),
        ("search", {"text": ""}, "text: String should have at least 1 character"),
        ("claim", {"key": ""}, "key: String should have at least 1 character"),
        ("claim", {"key": "k", "wait_seconds": 1e9}, "wait_seconds: Input should be less than or equal to 50"),
        ("complete", {"ticket": "wrong", "content": "x"}, "No claim of yours has that ticket; working_on lists"),
        ("give_up", {"ticket": "wrong", "reason": "x"}, "No claim of yours has that ticket"),
    ],
)
async def test_what_is_wrong_is_told_in_one_sentence(
    tool: str, arguments: dict[str, Any], sentence: str, flock: Flock
) -> None:
    async with Surface.open(flock) as surface, in_process(surface.server) as member:
        said = await member.refused(tool, **arguments)
    assert sentence in said
    assert "\n" not in said
    assert len(said) < 300


async def test_an_unknown_tool_is_an_error_that_names_the_known_ones(flock: Flock) -> None:
    async with Surface.open(flock) as surface, in_process(surface.server) as member:
        with pytest.raises(MCPError, match="there is no tool 'recal': there are remember, recall"):
            await member.client.call_tool("recal", {})


async def test_work_that_is_given_up_is_another_s_at_once(flock_name: str, server_url: str) -> None:
    async with client_of(flock_name, server_url) as robin, client_of(flock_name, server_url, agent="wren") as wren:
        mine = await robin.call("claim", key=KEY)
        waiting = asyncio.create_task(wren.call("claim", key=KEY))
        assert await robin.call("give_up", ticket=mine["ticket"], reason="no access") == {"key": KEY}
        assert (await waiting)["status"] == "yours"
        assert await robin.call("give_up", ticket=mine["ticket"], reason="again") == {"key": KEY}
        assert (await robin.call("claim", key=KEY, wait_seconds=0))["by"] == "wren"


async def test_what_was_read_since_the_claim_is_a_source_of_the_result(flock_name: str, server_url: str) -> None:
    async with client_of(flock_name, server_url) as robin:
        before = await robin.call("remember", content="read before")
        await robin.call("recall", id=before["id"])
        page = await robin.call("remember", content="the page", sources=[])
        mine = await robin.call("claim", key=KEY)
        await robin.call("recall", id=page["id"])
        done = await robin.call("complete", ticket=mine["ticket"], content="short", tags=["summary"])
        assert (done["note"]["sources"], done["note"]["tags"]) == ([page["id"]], ["summary"])
        other = await robin.call("claim", key="other")
        done = await robin.call("complete", ticket=other["ticket"], content="short", sources=[before["id"]])
        assert done["note"]["sources"] == [before["id"]]


async def test_a_result_handed_in_twice_is_kept_once(flock_name: str, server_url: str, flock: Flock) -> None:
    async with client_of(flock_name, server_url) as robin:
        mine = await robin.call("claim", key=KEY)
        done = await robin.call("complete", ticket=mine["ticket"], content="result")
        assert await robin.call("complete", ticket=mine["ticket"], content="result") == done
        changed = await robin.call("complete", ticket=mine["ticket"], content="better result")
        assert (changed["status"], changed["note"]["id"]) == ("late", done["note"]["id"])
    assert len(await events_of(flock, "note.written")) == 1


async def test_past_its_limit_work_is_free_and_a_late_result_is_told_what_stands(
    flock_name: str, server_url: str
) -> None:
    async with client_of(flock_name, server_url) as robin, client_of(flock_name, server_url, agent="wren") as wren:
        mine = await robin.call("claim", key=KEY, limit_seconds=0.5)
        yours = await wren.call("claim", key=KEY)
        assert yours["status"] == "yours"
        late = await robin.call("complete", ticket=mine["ticket"], content="too late")
        assert (late["status"], late["note"]) == ("late", None)
        assert "another agent is at the work now" in late["message"]
        await wren.call("complete", ticket=yours["ticket"], content="in time")
        late = await robin.call("complete", ticket=mine["ticket"], content="too late")
        assert (late["status"], late["note"]["author"]) == ("late", "wren")


async def test_past_its_limit_a_result_is_welcome_as_long_as_nobody_else_is_at_it(
    flock_name: str, server_url: str
) -> None:
    async with client_of(flock_name, server_url) as robin:
        mine = await robin.call("claim", key=KEY, limit_seconds=0.3)

        async def has_ended() -> bool:
            return not (await robin.call("working_on"))["in_hand"]

        await wait_until(has_ended)
        done = await robin.call("complete", ticket=mine["ticket"], content="late, yet welcome")
        assert (done["status"], done["note"]["key"]) == ("done", KEY)
        assert "Your claim had ended" in done["message"]


async def test_a_note_that_another_put_under_the_key_meanwhile_stands(flock_name: str, server_url: str) -> None:
    async with client_of(flock_name, server_url) as robin, client_of(flock_name, server_url, agent="wren") as wren:
        mine = await robin.call("claim", key=KEY)
        note = await wren.call("remember", content="I knew it all along", key=KEY)
        late = await robin.call("complete", ticket=mine["ticket"], content="what I found")
        assert (late["status"], late["note"]["id"]) == ("late", note["id"])
        assert "another note by now" in late["message"]


async def test_who_was_frozen_while_another_took_the_work_over_is_not_kept_waiting(
    flock_name: str, server_url: str, flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.adapters.mcp.claims.HAND_IN_S", 0.3)
    async with client_of(flock_name, server_url) as robin, client_of(flock_name, server_url, agent="wren") as wren:
        mine = await robin.call("claim", key=KEY)
        await flock.shard.command("DEL", flock.shard.keys.key("claim", KEY))  # as if its lease had run out
        yours = await wren.call("claim", key=KEY, wait_seconds=0)
        assert yours["status"] == "yours"
        late = await robin.call("complete", ticket=mine["ticket"], content="thawed")
        assert (late["status"], late["note"]) == ("late", None)
        assert (await wren.call("complete", ticket=yours["ticket"], content="in time"))["status"] == "done"
        late = await robin.call("complete", ticket=mine["ticket"], content="thawed")
        assert (late["status"], late["note"]["author"]) == ("late", "wren")


async def waiters_for(flock: Flock, key: str) -> int:
    """How many processes wait for a piece of work: they are subscribed to pushes about its key."""
    [_, count] = await flock.shard.client.execute_command("PUBSUB", "SHARDNUMSUB", flock.shard.keys.key("bell", key))
    return int(count)


async def test_a_client_has_a_bounded_number_of_requests_open(
    flock_name: str, server_url: str, flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roost.adapters.mcp.seats.MAX_REQUESTS", 1)
    async with client_of(flock_name, server_url) as robin, client_of(flock_name, server_url, agent="wren") as wren:
        mine = await robin.call("claim", key=KEY)
        waiting = asyncio.create_task(wren.call("claim", key=KEY))
        await wait_until(lambda: waiters_for(flock, KEY))
        with pytest.raises(MCPError, match="you have 1 requests open: wait for an answer first"):
            await wren.call("working_on")
        await robin.call("complete", ticket=mine["ticket"], content="done")
        assert (await waiting)["status"] == "known"
        assert (await wren.call("working_on"))["you"] == "wren"


async def test_a_ticket_is_of_no_use_to_another_client(flock_name: str, server_url: str) -> None:
    async with client_of(flock_name, server_url) as robin, client_of(flock_name, server_url, agent="wren") as wren:
        mine = await robin.call("claim", key=KEY)
        for tool, more in (("complete", {"content": "stolen"}), ("give_up", {"reason": "stolen"})):
            assert "No claim of yours" in await wren.refused(tool, ticket=mine["ticket"], **more)
        assert (await robin.call("complete", ticket=mine["ticket"], content="mine"))["status"] == "done"


async def test_work_that_was_claimed_twice_by_one_client_is_held_and_its_ticket_can_be_found(
    flock_name: str, server_url: str
) -> None:
    async with client_of(flock_name, server_url) as robin:
        mine = await robin.call("claim", key=KEY, label="reading")
        again = await robin.call("claim", key=KEY, wait_seconds=0)
        assert (again["status"], again["by"]) == ("held", "robin")
        assert "under your own name" in again["next"]
        [in_hand] = (await robin.call("working_on"))["in_hand"]
        assert (in_hand["ticket"], in_hand["label"]) == (mine["ticket"], "reading")


async def test_a_client_holds_a_bounded_number_of_claims(flock_name: str, server_url: str) -> None:
    async with client_of(flock_name, server_url) as robin:
        for n in range(32):
            await robin.call("claim", key=f"work {n}")
        assert "you hold or wait for 32 claims" in await robin.refused("claim", key="one more")


async def test_claims_that_are_asked_for_at_once_are_bounded_too(flock_name: str, server_url: str) -> None:
    async with client_of(flock_name, server_url) as robin:
        asked = [robin.client.call_tool("claim", {"key": f"work {n}"}) for n in range(40)]
        answers = await asyncio.gather(*asked)
        assert [answer.is_error for answer in answers].count(True) == 8
        assert len((await robin.call("working_on"))["in_hand"]) == 32


@pytest.mark.parametrize("mode", MODES)
async def test_a_claim_that_is_cancelled_while_it_waits_leaves_nothing_behind(
    mode: str, flock_name: str, server_url: str, flock: Flock
) -> None:
    async def nobody_waits() -> bool:
        return await waiters_for(flock, KEY) == 0

    async with AsyncExitStack() as stack:
        robin = await stack.enter_async_context(client_of(flock_name, server_url))
        wren = await stack.enter_async_context(client_of(flock_name, server_url, agent="wren", mode=mode))
        mine = await robin.call("claim", key=KEY)
        waiting = asyncio.create_task(wren.call("claim", key=KEY))
        await wait_until(lambda: waiters_for(flock, KEY))
        waiting.cancel()
        await asyncio.wait([waiting])
        await wait_until(nobody_waits)
        await robin.call("give_up", ticket=mine["ticket"], reason="done with it")
        assert (await robin.call("claim", key=KEY, wait_seconds=0))["status"] == "yours"
    assert "wren" not in {event.actor for event in await events_of(flock, "work.claimed", "work.failed")}


async def test_a_server_that_is_away_is_told_and_later_calls_go_through(
    own_server: Callable[[], Awaitable[OwnServer]], flock_name: str
) -> None:
    server = await own_server()
    async with client_of(flock_name, server.url, patience=timedelta(seconds=0.5)) as robin:
        await robin.call("remember", content="before", key="k")
        await server.kill()
        assert "server" in await robin.refused("remember", content="lost", key="k")
        assert "server" in await robin.refused("claim", key="work")
        await server.start()
        assert (await robin.call("recall", key="k"))["text"] == "before"
