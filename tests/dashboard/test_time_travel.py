"""Time travel in a real browser: back to a moment, from event to event, at a speed, by a link, and back to now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from playwright.async_api import Browser, Page
from roost_tests.command import RoostCommand
from roost_tests.served_page import ServedPage, look_at, open_page
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.streams import Event

Serve = Callable[..., Awaitable[ServedPage]]
AGENTS = ("ann", "ben", "cat")
APART_S = 0.12


async def bar(page: Page) -> dict[str, str]:
    """What the bar says of itself."""
    told: dict[str, str] = await page.locator("section.travel").evaluate(
        "section => ({...section.dataset, told: section.querySelector('.words').innerText})"
    )
    return told


async def picture(page: Page) -> dict[str, str]:
    told: dict[str, str] = await page.locator("section.flock").evaluate("section => ({...section.dataset})")
    return told


async def says(page: Page, **wanted: str) -> bool:
    told = await bar(page)
    return all(told.get(name) == value for name, value in wanted.items())


async def shows(page: Page, agents: int, notes: int) -> bool:
    told = await picture(page)
    return (told["agents"], told["lights"]) == (str(agents), str(notes))


async def act(flock: Flock) -> list[Event]:
    """Each agent writes a note and reads the one before: moments that can be told apart."""
    last: str | None = None
    for number, agent in enumerate(AGENTS):
        async with flock.acting(agent):
            note = await flock.memory.put(f"What {agent} learned.", key=f"part/{number}")
            await asyncio.sleep(APART_S)
            if last is not None:
                await flock.memory.get(last)
                await asyncio.sleep(APART_S)
            last = note.id
    return [event async for event in flock.log.read()]


def ms_of(event: Event) -> int:
    assert event.position is not None
    return event.position.ms


async def test_pages_show_any_moment_of_the_log_by_a_link_by_steps_at_a_speed_and_now_again(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock
) -> None:
    events, served = await act(flock), await serve_page(roost)
    await _follows_a_link_to_other_pages_and_back(browser, served, events)
    await _goes_back_steps_plays_and_returns(browser, served, flock, events)


async def _follows_a_link_to_other_pages_and_back(browser: Browser, served: ServedPage, events: list[Event]) -> None:
    at = str(ms_of(events[1]))
    seen = await open_page(browser, served, f"/?at={at}")
    page = seen.page
    await page.wait_for_selector("section.travel", timeout=30_000)
    await wait_until(lambda: says(page, state="past", at=at, number="2"), timeout=20)
    for title in ("Memory", "Operations"):
        await page.get_by_role("link", name=title).click()
        await page.wait_for_url(f"**/{title.lower()}?at={at}")
        await wait_until(lambda: says(page, state="past", at=at), timeout=10)
    slider = page.locator("section.travel input")
    box = await slider.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 7, box["y"] + 20)
    await page.mouse.down()
    for share in (0.2, 0.4, 0.5, 0.6):
        await page.mouse.move(box["x"] + box["width"] * share, box["y"] + 20)
        assert "about event" in (await bar(page))["told"]  # at once, before the page has answered
    await page.mouse.up()
    await wait_until(lambda: _came(page, float(ms_of(events[0])), float(ms_of(events[-1]))), timeout=10)
    assert int((await bar(page))["heard"]) <= 3  # not for each pixel
    await page.go_back()
    await wait_until(lambda: says(page, at=at), timeout=10)
    await page.get_by_role("button", name="Now").click()
    await wait_until(lambda: says(page, state="now", at=""), timeout=10)
    assert (seen.foreign, seen.wrongs) == ([], [])
    await page.close()


async def _goes_back_steps_plays_and_returns(
    browser: Browser, served: ServedPage, flock: Flock, events: list[Event]
) -> None:
    count = str(len(events))
    seen = await look_at(browser, served)
    page, slider = seen.page, seen.page.locator("section.travel input")
    await wait_until(lambda: says(page, state="now", count=count, number=count), timeout=10)
    assert await shows(page, 3, 3)

    await slider.press("Home")
    await wait_until(lambda: says(page, state="past", at=str(ms_of(events[0]))), timeout=10)
    await wait_until(lambda: shows(page, 1, 1), timeout=10)
    assert "0.0 s into the log" in (await bar(page))["told"]
    assert f"event 1 of {count}" in (await bar(page))["told"]
    assert f"at={ms_of(events[0])}" in page.url
    assert "As it was at" in await page.locator(".flock .status").inner_text()

    for _ in range(2):  # faster than the page answers
        await slider.press("ArrowRight")
    await wait_until(lambda: says(page, at=str(ms_of(events[2])), heard="3"), timeout=10)
    await wait_until(lambda: shows(page, 2, 2), timeout=10)
    assert str(events[2].position) in (await bar(page))["told"]
    await page.locator("section.travel .before").click()
    await wait_until(lambda: says(page, at=str(ms_of(events[1]))), timeout=10)

    threads = int((await picture(page))["threads"])
    await page.locator("section.travel .speed").select_option("0.5")
    await slider.press(" ")
    await wait_until(lambda: says(page, state="playing"), timeout=10)
    await wait_until(lambda: says(page, state="past", at=str(ms_of(events[-1]))), timeout=15)
    assert "the log’s last event so far" in (await bar(page))["told"]
    await wait_until(lambda: shows(page, 3, 3), timeout=10)
    assert int((await picture(page))["threads"]) > threads  # what was read was drawn, as it was then

    await slider.press("Escape")
    await wait_until(lambda: says(page, state="now", at=""), timeout=10)
    async with flock.acting("dan"):
        note = await flock.memory.put("It goes on.")
    await page.wait_for_selector(f'.log [data-note="{note.id}"]')
    await wait_until(lambda: shows(page, 4, 4), timeout=10)
    assert "at=" not in page.url
    assert (seen.foreign, seen.wrongs) == ([], [])


async def _came(page: Page, first_ms: float, last_ms: float) -> bool:
    told = await bar(page)
    return "about" not in told["told"] and 0.5 < (float(told["at"]) - first_ms) / (last_ms - first_ms) < 0.7
