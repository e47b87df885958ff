"""Notes as resources of `roost mcp`: listed, read, and told of when they come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from mcp import types
from mcp.server.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPError
from roost_tests.crew import events_of
from roost_tests.mcp_clients import MODES, Household, Member, in_process
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.adapters.mcp import Surface

TOO_MANY = [f"note://key/{n}" for n in range(101)]
each_protocol = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
async def flock(server_url: str, flock_name: str) -> AsyncGenerator[Flock]:
    async with Flock.open(flock_name, server_url, agent="author") as flock:
        yield flock


@asynccontextmanager
async def client_of(flock: Flock, mode: str = "auto") -> AsyncGenerator[Member]:
    async with Surface.open(flock, agent="robin") as surface, in_process(surface.server, mode=mode) as member:
        yield member


@asynccontextmanager
async def told(member: Member, mode: str, *uris: str) -> AsyncGenerator[list[str]]:
    """What a client hears that has subscribed to these, in the way of its protocol."""
    if mode == "legacy":
        for uri in uris:
            await member.client.session.send_request(
                types.SubscribeRequest(params=types.SubscribeRequestParams(uri=uri)), types.EmptyResult
            )
        yield member.heard
        return
    heard: list[str] = []

    async def listen() -> None:
        async with member.client.listen(resource_subscriptions=list(uris), resources_list_changed=True) as events:
            ready.set()
            async for event in events:
                match event:
                    case ResourceUpdated(uri):
                        heard.append(uri)
                    case ResourcesListChanged():
                        heard.append("list")
                    case _:
                        pass

    ready = asyncio.Event()
    listening = asyncio.create_task(listen())
    await asyncio.wait({listening, asyncio.ensure_future(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
    yield heard
    listening.cancel()
    await asyncio.wait([listening])


@each_protocol
async def test_the_newest_notes_are_listed_and_every_note_can_be_read(mode: str, flock: Flock) -> None:
    old = await flock.memory.put("Owls hunt at night.", key="page/owls & wrens", tags=["page"])
    image = await flock.memory.put(b"\x00\x01", tags=["image/png"])
    gone = await flock.memory.put("gone")
    await flock.memory.forget(gone.id)
    for n in range(50):
        await flock.memory.put({"n": n})
    async with client_of(flock, mode) as member:
        listed = (await member.client.list_resources()).resources
        assert len(listed) == 50
        assert (listed[0].mime_type, listed[0].size) == ("application/json", 8)
        assert old.id not in {resource.uri.removeprefix("note://") for resource in listed}
        templates = (await member.client.list_resource_templates()).resource_templates
        assert [template.uri_template for template in templates] == ["note://{id}", "note://key/{+key}"]

        for uri in (f"note://{old.id}", "note://key/page/owls%20%26%20wrens"):
            [text] = (await member.client.read_resource(uri)).contents
            assert isinstance(text, types.TextResourceContents)
            assert (text.uri, text.mime_type, text.text) == (uri, "text/plain", "Owls hunt at night.")
        [blob] = (await member.client.read_resource(f"note://{image.id}")).contents
        assert isinstance(blob, types.BlobResourceContents)
        assert (blob.mime_type, blob.blob) == ("image/png", "AAE=")
    reads = [(event.actor, event.data["note"]) for event in await events_of(flock, "note.read")]
    assert set(reads) == {("robin", old.id), ("robin", image.id)}


async def test_what_is_no_note_or_too_large_for_a_resource_is_told(flock: Flock) -> None:
    large = await flock.memory.put("x" * (1024 * 1024 + 1))
    wrong = {
        "note://nobody": "there is no note 'nobody'",
        "note://key/nothing": "no note has the key 'nothing'",
        "note://a/b": "is no note's address",
        "https://example.com/": "is no note's address",
        f"note://{large.id}": "read it in parts by recall",
    }
    async with client_of(flock) as member:
        for uri, sentence in wrong.items():
            with pytest.raises(MCPError, match=sentence):
                await member.client.read_resource(uri)


@each_protocol
async def test_a_subscriber_hears_when_a_key_means_another_note_and_when_a_note_is_gone(
    mode: str, flock: Flock
) -> None:
    first = await flock.memory.put("first", key="page/a b")
    short = await flock.memory.put("short", ttl=timedelta(milliseconds=20))
    by_key, by_id, by_short = "note://key/page/a%20b", f"note://{first.id}", f"note://{short.id}"
    async with client_of(flock, mode) as member, told(member, mode, by_key, by_id, by_short) as heard:
        second = await flock.memory.put("second", key="page/a b")
        await wait_until(lambda: heard.count(by_key) == 1)
        await flock.memory.put("another", key="page/other")
        await flock.memory.forget(first.id)
        await wait_until(lambda: heard.count(by_id) == 1)
        await flock.memory.forget(second.id)
        await wait_until(lambda: heard.count(by_key) == 2)
        await flock.notes.expire()
        await wait_until(lambda: heard.count(by_short) == 1)
        assert set(heard) - {"list"} == {by_key, by_id, by_short}


@each_protocol
async def test_that_the_list_of_notes_changes_is_told_now_and_then(mode: str, flock: Flock) -> None:
    async with client_of(flock, mode) as member, told(member, mode, "note://key/nothing") as heard:
        for n in range(50):
            await flock.memory.put(f"note {n}")
        await wait_until(lambda: heard.count("list") >= 1)
        await wait_until(lambda: heard.count("list") >= 2, timeout=10)
        assert heard.count("list") <= 3


async def test_who_unsubscribes_hears_no_more(flock: Flock) -> None:
    async with client_of(flock, "legacy") as member, told(member, "legacy", "note://key/a", "note://key/b") as heard:
        params = types.UnsubscribeRequestParams(uri="note://key/a")
        await member.client.session.send_request(types.UnsubscribeRequest(params=params), types.EmptyResult)
        await flock.memory.put("x", key="a")
        await flock.memory.put("x", key="b")
        await wait_until(lambda: "note://key/b" in heard)
        assert "note://key/a" not in heard


async def test_a_client_has_a_bounded_number_of_subscriptions_to_notes_alone(flock: Flock) -> None:
    async with client_of(flock, "legacy") as member:
        for uris, sentence in ((["file:///etc/passwd"], "is no note's"), (TOO_MANY, "subscribed to 100 notes already")):
            with pytest.raises(MCPError, match=sentence):
                async with told(member, "legacy", *uris):
                    pass
    async with client_of(flock) as member:
        for uris, sentence in ((["note://a/b"], "is no note's"), (TOO_MANY, "may subscribe to 100 notes")):
            with pytest.raises(MCPError, match=sentence):
                async with member.client.listen(resource_subscriptions=uris):
                    pass


@each_protocol
async def test_subscribers_over_both_transports_hear_of_what_other_processes_write(
    mode: str, flock: Flock, tmp_path: Path, server_url: str, flock_name: str
) -> None:
    environment = {"ROOST_URL": server_url, "ROOST_FLOCK": flock_name, "HOME": str(tmp_path)}
    household, uri = Household(tmp_path, environment), "note://key/page/owls"
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(household.http())
        remote = await stack.enter_async_context(host.join(mode=mode))
        local = await stack.enter_async_context(household.stdio(mode=mode))
        far = await stack.enter_async_context(told(remote, mode, uri))
        near = await stack.enter_async_context(told(local, mode, uri))
        await flock.memory.put("Owls hunt at night.", key="page/owls")
        await wait_until(lambda: uri in far and uri in near, timeout=10)
