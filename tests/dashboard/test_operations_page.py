"""The page Operations: what is wrong is told, and a person may decide about what was given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from playwright.async_api import Browser
from roost_tests.command import RoostCommand
from roost_tests.served_page import ServedPage, open_page, says
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, Retry, on
from roost.streams import Event, event
from roost.streams.every_shard import parked_in

Serve = Callable[..., Awaitable[ServedPage]]
HOSTILE = "<script>window.hacked = 1</script><img src=http://example.invalid/x onerror='window.hacked = 2'>\u202e"


@event("nest.found")
@dataclass(frozen=True, slots=True)
class NestFound:
    tree: str


class Climber(Actor):
    """Fails until it is told not to."""

    retry = Retry(attempts=1)

    def __init__(self) -> None:
        self.tired = True
        self.climbed: list[str] = []

    @on(NestFound)
    async def climb(self, found: NestFound, ctx: Context[None]) -> None:
        if self.tired:
            raise RuntimeError(f"too tired for {found.tree}: {HOSTILE}")
        self.climbed.append(found.tree)


async def test_what_was_given_up_is_retried_from_the_page_asked_twice(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock
) -> None:
    climber = Climber()
    served = await serve_page(roost)
    async with flock.work(climber):
        await flock.append(NestFound("the old oak"))
        seen = await open_page(browser, served, "/operations", writes=True)
        page = seen.page
        await wait_until(lambda: says(page, "1 parked delivery waits for a decision"), timeout=30)
        row = page.locator("section.table tr.open", has_text="nest.found")
        await row.click()
        await wait_until(lambda: says(page, "RuntimeError: too tired for the old oak: <script>"), timeout=20)
        climber.tired = False
        await page.get_by_role("button", name="Retry…").click()
        await wait_until(lambda: says(page, "It goes back to Climber"), timeout=20)
        assert climber.climbed == []  # it was asked once only
        await page.get_by_role("button", name="Yes, retry it").click()
        await wait_until(lambda: climber.climbed == ["the old oak"], timeout=20)
        await wait_until(lambda: says(page, "goes back to Climber."), timeout=20)
        await wait_until(lambda: says(page, "All is well"), timeout=20)
    resumed = [each for each in await flock.log.recent(50) if each.type == "delivery.resumed"]
    assert [each.data["by"].endswith("(page)") for each in resumed] == [True]
    assert await page.evaluate("window.hacked === undefined")
    assert (seen.foreign, seen.wrongs) == ([], [])


async def test_what_was_given_up_is_left_or_dropped_unless_another_was_quicker_and_who_only_looks_does_neither(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock
) -> None:
    served = await serve_page(roost)
    async with flock.work(Climber()):
        for tree in ("the oak", "the elm", "the ash"):
            await flock.append(NestFound(tree))
        looking = await open_page(browser, served, "/operations")
        await looking.page.locator("section.table tr.open", has_text="too tired for the oak").click(timeout=30_000)
        await wait_until(lambda: says(looking.page, "open the link with the write token"), timeout=20)
        assert await looking.page.get_by_role("button", name="Drop…").count() == 0
        opened = looking.page.url.partition("?")[2]

        context = await browser.new_context()  # cookies of its own
        page = await context.new_page()
        await page.goto(f"{served.write_link}&page=operations&{opened}")  # what is opened stands in the address
        await page.get_by_role("button", name="Drop…").click(timeout=30_000)
        await wait_until(lambda: says(page, "It is removed for good: Climber will not handle it."), timeout=20)
        await page.get_by_role("button", name="No, leave it").click()
        await page.get_by_role("button", name="Drop…").click()
        parked = parked_in([flock.shard])
        at_ms = max([each.parked_ms async for each in parked.list()])
        oak = await parked.get(opened.partition("parked=")[2])
        await parked.drop(oak, by="ben@there")
        await wait_until(lambda: says(page, "is parked no more: ben@there was quicker, it was dropped."), timeout=20)
        assert await page.get_by_role("button", name="Yes, drop it").count() == 0

        await page.locator("section.table tr.open", has_text="too tired for the ash").click()
        await page.get_by_role("button", name="Drop all 2 like it…").click()
        await page.get_by_label("Who decides").fill("<b>eve</b>")
        await page.get_by_label("Why").fill("autumn")
        await page.get_by_label("Why").press("Enter")  # which is no second press
        await page.get_by_role("button", name="Yes, drop all 2").click()
        await wait_until(lambda: says(page, "2 deliveries are dropped, of Climber."), timeout=20)
        await wait_until(lambda: says(looking.page, "All is well"), timeout=20)
        await page.goto(f"{served.url}/operations?at={at_ms}")
        then = page.locator("section.table", has_text="Parked").locator("tbody tr", has_text="nest.found")
        await then.nth(2).wait_for(timeout=30_000)
        assert await says(page, "What only the present knows is left out")
        assert await page.get_by_role("button", name="Drop").count() == 0
    dropped = [each.data for each in await flock.log.recent(50) if each.type == "delivery.dropped"]
    assert [(each["by"], each["reason"]) for each in dropped] == [
        ("ben@there", None), ("<b>eve</b>", "autumn"), ("<b>eve</b>", "autumn"),
    ]  # fmt: skip
    assert (looking.foreign, looking.wrongs) == ([], [])


async def test_agents_are_listed_and_one_is_opened(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock
) -> None:
    async with flock.acting("<b>mallory</b>", run="r-1"):
        await flock.memory.put("owls")
    async with flock.work(Climber()):
        pass  # it is known, and then nobody is there
    await flock.shard.command("XADD", flock.shard.keys.key("inbox", "Climber"), "1-1", "type", "nest.found")  # long ago
    await flock.shard.command("HSET", flock.shard.keys.key("marks"), "bridge/kafka/roost", "0-0")
    await flock.append(Event(type="work.failed", subject="actor/ann", actor="ann", body=b'{"key":"k","label":"owls"}'))
    seen = await open_page(browser, await serve_page(roost), "/operations", dark=True, wide=420)
    await wait_until(lambda: says(seen.page, "append-only file"), timeout=30)
    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await seen.page.evaluate(sideways) == 0
    await seen.page.locator("section.table tr.open", has_text="<b>mallory</b>").click(timeout=30_000)
    await wait_until(lambda: says(seen.page, "<b>mallory</b>: 1 event since"), timeout=20)
    await wait_until(lambda: "agent=" in seen.page.url, timeout=20)
    await wait_until(lambda: says(seen.page, "note.written"), timeout=20)
    assert await says(seen.page, "and nobody takes it: is a worker running?")
    assert await says(seen.page, "bridge/kafka/roost")
    assert await seen.page.locator("b").count() == 0
    assert (seen.foreign, seen.wrongs) == ([], [])
