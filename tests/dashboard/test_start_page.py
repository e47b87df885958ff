"""The page Start in a real browser: from files that are dropped to a report that is downloaded."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import Browser, FilePayload, Page, expect
from roost_tests.command import RoostCommand
from roost_tests.served_page import Seen, ServedPage, open_page
from roost_tests.waiting import wait_until

from roost.actors import Flock
from roost.streams import Event

Serve = Callable[..., Awaitable[ServedPage]]
OWLS = (
    b"# Owls\n\nOwls hunt at night. Their feathers make no sound.\n\n# Barns\n\nBarn owls nest in barns and eat mice.\n"
)
QUESTION = "What do owls hunt <img src=x onerror=window.hacked=1>?"
HOSTILE = "**bold** <script>window.hacked = 1</script> ![x](http://example.invalid/x.png)\n\n"
PATIENCE_MS = 30_000


async def board(page: Page) -> dict[str, str]:
    """What the newest run's card says of itself."""
    cards = page.locator("section.board li")
    if not await cards.count():
        return {}
    told: dict[str, str] = await cards.first.evaluate("card => ({...card.dataset, words: card.innerText})")
    return told


async def stands(page: Page, state: str) -> bool:
    return (await board(page)).get("state") == state


async def drop(page: Page, *files: tuple[str, bytes]) -> None:
    """Drops files, which the page has taken when it names the last of them."""
    payloads: list[FilePayload] = [{"name": name, "mimeType": "text/plain", "buffer": body} for name, body in files]
    await page.locator("input[type=file]").set_input_files(payloads)


async def ask(page: Page, question: str) -> None:
    asked = page.get_by_label("Questions, one a line")
    await asked.fill(question)
    await asked.press("Control+Enter")


async def open_start(browser: Browser, served: ServedPage, *, writes: bool = True) -> Seen:
    seen = await open_page(browser, served, "/start", writes=writes)
    await seen.page.wait_for_selector("section.board", timeout=PATIENCE_MS)
    return seen


async def test_files_are_dropped_a_run_is_planned_started_and_watched_and_its_report_downloaded(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    roost.environment["TMPDIR"] = str(tmp_path / "tmp")
    served = await serve_page(roost)
    seen = await open_start(browser, served)
    page = seen.page
    await drop(
        page, ("owls.md", HOSTILE.encode() + OWLS), ("empty.txt", b""), ("<img src=x>.bin", bytes(range(256)) * 9)
    )
    await expect(page.get_by_text("empty.txt is empty")).to_be_visible(timeout=PATIENCE_MS)
    await expect(page.get_by_text("_img src=x_.bin is a binary file")).to_be_visible()
    await ask(page, QUESTION)

    await page.get_by_role("button", name="Plan").click()
    await expect(page.get_by_text("calls to come")).to_be_visible(timeout=PATIENCE_MS)
    assert [event async for event in flock.log.read()] == []  # a plan leaves no trace

    await page.get_by_role("button", name="Start", exact=True).click()
    await wait_until(lambda: stands(page, "done"), timeout=30)
    told = await board(page)
    assert QUESTION in told["words"]
    ended = [event async for event in flock.log.read() if event.type == "run.ended"]
    assert [event.run for event in ended] == [told["run"]]

    report = (await flock.memory.get(ended[0].data["report"])).text
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Download the report").click()
    await (await downloading.value).save_as(tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text("utf-8") == report
    await expect(page.locator("code").filter(has_text="Barn owls nest in barns").first).to_be_visible()
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Download what it took").click()
    await (await downloading.value).save_as(tmp_path / "page.html")
    assert told["run"] in (tmp_path / "page.html").read_text("utf-8")

    other = await open_start(browser, served, writes=False)  # who only looks sees it, and can start nothing
    await wait_until(lambda: stands(other.page, "done"), timeout=10)
    assert "roost run FILE -q QUESTION" in await other.page.locator("p.notice:visible").first.inner_text()
    assert await other.page.get_by_role("button", name="Start", exact=True).count() == 0
    assert [await each.page.evaluate("window.hacked") for each in (seen, other)] == [None, None]
    assert (seen.foreign, seen.wrongs, other.foreign, other.wrongs) == ([], [], [], [])
    assert await served.end() == 0
    assert not any(name.startswith("roost-page-") for name in os.listdir(tmp_path / "tmp"))


async def test_a_run_is_stopped_and_what_it_had_computed_stays(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock
) -> None:
    served = await serve_page(roost)
    seen = await open_start(browser, served)
    page = seen.page
    sections = b"\n\n".join(b"# Part %d\n\n%s" % (number, b"It is about owls. " * 120) for number in range(12))
    await drop(page, ("parts.md", sections))
    await page.get_by_text("More", exact=True).click()
    agents = page.get_by_label("Agents: sections read")
    await agents.fill("1")
    await agents.press("Enter")
    await page.get_by_role("button", name="Start", exact=True).click()
    await wait_until(lambda: _has_called(page), timeout=30)
    await page.locator("section.board a", has_text="Live").click()  # it goes on without anybody looking
    await page.wait_for_selector("section.flock", timeout=PATIENCE_MS)
    await page.get_by_role("link", name="Start").click()
    await page.get_by_role("button", name="Stop").click()
    await wait_until(lambda: stands(page, "stopped"), timeout=30)
    told = await board(page)
    assert "what was computed stays in the flock" in told["words"]
    events = [event async for event in flock.log.read()]
    assert any(event.type == "run.ended" for event in events)
    assert any(event.type == "work.computed" for event in events)
    await page.locator("section.board a", has_text="Run").click()
    await page.wait_for_url(f"**/run?run={told['run']}")
    await page.get_by_role("link", name="Start").click()  # what was dropped and set is still there
    await expect(page.get_by_text("parts.md", exact=True)).to_be_visible(timeout=PATIENCE_MS)
    await page.get_by_role("button", name="Start", exact=True).click()
    await wait_until(lambda: stands(page, "done"), timeout=60)
    last = [event.data async for event in flock.log.read() if event.type == "run.ended"][-1]
    assert last["outcome"] == "done"
    assert any(event.type == "work.reused" for event in await _events_of(flock, last["run"]))
    assert (seen.foreign, seen.wrongs) == ([], [])


async def _events_of(flock: Flock, run: str) -> list[Event]:
    return [event async for event in flock.log.read() if event.run == run]


async def _has_called(page: Page) -> bool:
    words = (await board(page)).get("words", "")
    return "calls" in words and "\n0\n" not in words.partition("calls")[2][:3]
