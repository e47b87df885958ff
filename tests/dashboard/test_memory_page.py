"""The page Memory in a real browser: notes looked for and opened, their lineage, and notes that mean harm."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from playwright.async_api import Browser, Page
from roost_tests.command import RoostCommand
from roost_tests.served_page import Seen, ServedPage, open_page
from roost_tests.waiting import wait_until

from roost.actors import Computed, Flock, Work
from roost.streams import Event, Note, NoteRecord

Serve = Callable[..., Awaitable[ServedPage]]
WAIT_MS = 20_000
SECOND_S = 1.0
MANY = 100_000
FOUND = ".finder .told"
HOSTILE = (
    "<script>window.hacked = 1</script><img src=http://example.invalid/a onerror='window.hacked = 2'>\n"
    "![picture](http://example.invalid/b.png) [link](javascript:window.hacked=3) :material/home: $x$\n"
    "\x1b[31mred\u202etxt.exe\x07<svg onload='window.hacked = 4'><iframe src=http://example.invalid/c></iframe>"
)
INSIDE = "section => section.querySelectorAll('img, script, iframe, svg:not(.plane svg), b, i, u').length"


async def opened(browser: Browser, served: ServedPage, path: str, **how: bool | int) -> Seen:
    seen = await open_page(browser, served, path, **how)  # type: ignore[arg-type]  # of each its own type
    await seen.page.wait_for_selector(".card, .finder[data-state]", timeout=WAIT_MS)
    return seen


async def told(page: Page, of: str) -> dict[str, str]:
    """What a component says of itself."""
    found: dict[str, str] = await page.locator(f"section.{of}").evaluate("section => ({...section.dataset})")
    return found


async def titles(page: Page) -> list[str]:
    cells = await page.locator(".table tbody tr > :first-child").all_inner_texts()
    return [cell.strip() for cell in cells]


async def lists(page: Page, *wanted: str) -> bool:
    return await titles(page) == list(wanted)


async def shows(page: Page, note: Note) -> bool:
    return await page.locator(f'.card[data-note="{note.id}"]').count() == 1


async def says(page: Page, where: str, words: str) -> bool:
    return words in await page.locator(where).first.inner_text()


async def put(flock: Flock, agent: str, content: str | bytes, **how: object) -> Note:
    async with flock.acting(agent, run="r1"):
        return await flock.memory.put(content, **how)  # type: ignore[arg-type]  # as `put` has them


async def test_notes_are_looked_for_filtered_opened_and_followed_both_ways(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock
) -> None:
    source = await put(flock, "ann", "Owls see in the dark, says the almanac.", key="almanac", tags=["birds"])
    middle = await put(flock, "ben", "Owls hunt at night.", key="owls", tags=["birds"], sources=[source.id])
    last = await put(flock, "cat", "A poem.", key="poem", sources=[middle.id], ttl=timedelta(minutes=3))
    async with flock.acting("dan"):
        await flock.memory.get(middle.id)
    served = await serve_page(roost)
    seen = await opened(browser, served, "/memory")
    page = seen.page
    await wait_until(lambda: lists(page, "poem", "owls", "almanac"), timeout=10)
    await _filters(page)

    await page.locator(f'.table tr[data-id="{middle.id}"]').click()
    await wait_until(lambda: shows(page, middle), timeout=10)
    assert f"note={middle.id}" in page.url
    assert await page.locator(".card pre").inner_text() == "Owls hunt at night."
    facts = await page.locator(".card dl").inner_text()
    assert "ben" in facts
    assert "birds" in facts
    assert "read once" in facts
    await wait_until(lambda: says(page, ".table tbody", "dan"))
    await _follows(page, source, middle, last)
    assert not [event async for event in flock.log.read() if event.actor not in ("ann", "ben", "cat", "dan")]
    assert (seen.foreign, seen.wrongs) == ([], [])


async def _filters(page: Page) -> None:
    await page.locator(".finder [name=words]").fill("ow")
    await wait_until(lambda: lists(page, "owls"), timeout=10)
    assert "words=ow" in page.url
    await page.locator(".finder .inside").click()
    await page.locator(".finder [name=words]").fill("dark almanac")
    await wait_until(lambda: lists(page, "almanac"), timeout=10)
    assert await says(page, ".table tbody", "Owls see in the dark")
    await page.locator(".finder .clear").click()
    await wait_until(lambda: lists(page, "poem", "owls", "almanac"), timeout=10)
    assert "words" not in page.url
    await page.locator(".finder [name=expiring]").select_option("5min")
    await wait_until(lambda: lists(page, "poem"), timeout=10)
    await page.go_back()
    await wait_until(lambda: lists(page, "poem", "owls", "almanac"), timeout=10)
    await page.locator(".finder [name=tag]").fill("birds")
    await wait_until(lambda: lists(page, "owls", "almanac"), timeout=10)


async def _follows(page: Page, source: Note, middle: Note, last: Note) -> None:
    """From the note to what was made from it, with the keyboard back to where it came from, and to its author's."""
    state = await told(page, "lineage")
    assert (state["note"], state["notes"], state["edges"]) == (middle.id, "3", "2")
    ranks = {
        note.id: await page.locator(f'.lineage li[data-note="{note.id}"]').get_attribute("data-rank")
        for note in (source, last)
    }
    assert ranks == {source.id: "-1", last.id: "1"}
    await page.locator(f'.lineage li[data-note="{last.id}"] button').click()
    await wait_until(lambda: shows(page, last), timeout=10)
    await page.locator(f'.lineage li[data-note="{last.id}"] button').focus()
    for _ in range(2):
        await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("Enter")
    await wait_until(lambda: shows(page, source), timeout=10)
    await page.locator(".card dd button", has_text="ann").click()
    await wait_until(lambda: lists(page, "almanac"), timeout=10)
    assert re.search(r"agent=ann", page.url)


async def test_what_reuse_of_a_note_has_saved_and_where_jaeger_shows_it_is_told(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock
) -> None:
    async def compute() -> Computed:
        return Computed("Owls.", Work(kind="summary", model="m", calls=2, input_tokens=70, output_tokens=30))

    for agent in ("ann", "ben", "cat", "cat"):
        async with flock.acting(agent, run="r1"):
            await flock.memory.once("owls", compute, label="summary of owls")
    span = f"00-{'1' * 32}-{'2' * 16}-01"
    record = NoteRecord(id="f00d" * 6, digest="d", size=1, author="<b>mallory</b>", traceparent=span)
    await flock.append(Event(type="note.written", subject="note/f00d", body=record.to_json()))
    served = await serve_page(roost, "--jaeger", "http://localhost:16686")
    seen = await opened(browser, served, "/memory?note=owls")
    page = seen.page
    await wait_until(lambda: says(page, ".card h2", "summary of owls"), timeout=10)
    assert await says(page, ".card dl", "6 calls, 300 tokens")
    uses = page.locator(".table tbody tr")
    rows = [re.split(r"\s*\t\s*", text) for text in await uses.all_inner_texts()]
    assert ["cat", "r1", "found it", "2"] in [row[:4] for row in rows]
    assert {row[0]: row[5] for row in rows if row[2] == "found it"} == {"ben": "2", "cat": "4"}
    await page.locator(".card .back").click()
    await page.locator('.table tr[data-id^="f00d"]').click()
    link = page.locator(".card dd a")
    await link.wait_for(timeout=WAIT_MS)
    assert await link.get_attribute("href") == f"http://localhost:16686/trace/{'1' * 32}?uiFind={'2' * 16}"
    assert await says(page, ".card dl", "<b>mallory</b>")
    assert (seen.foreign, seen.wrongs) == ([], [])


async def test_whatever_a_note_holds_is_text_and_nothing_of_it_runs_or_loads(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    names = {
        "key": "<img src=http://example.invalid/k onerror=window.hacked=5>",
        "tags": ["<u>![x](//example.invalid/t)</u>"],
    }
    hostile = await put(flock, "<b>mallory</b> :red[x]", HOSTILE, **names)
    made = await put(flock, "<i>eve</i>", "made", sources=[hostile.id], key="</button><script>window.hacked=6</script>")
    large = await put(flock, "ann", "Ä<p>" * 250_000)
    binary = await put(flock, "ann", os.urandom(5_000), sources=[large.id])
    broken = await put(flock, "ann", b"almost \xff\xfe text, and a good deal of it to read in it", sources=[binary.id])
    served = await serve_page(roost)
    seen = await opened(browser, served, f"/memory?note={hostile.id}")
    page = seen.page
    await page.wait_for_selector(".card pre", timeout=WAIT_MS)
    shown = await page.locator(".card pre").inner_text()
    assert "<script>window.hacked = 1</script><img src=http://example.invalid/a" in shown
    assert "![picture](http://example.invalid/b.png)" in shown
    assert "\\x1b[31mred\\u202etxt.exe\\x07<svg" in shown
    assert "<img src=http://example.invalid/k" in await page.locator(".card h2").inner_text()
    await page.wait_for_selector(f'.lineage li[data-note="{made.id}"]')
    for component in ("card", "lineage", "table"):
        assert await page.locator(f"section.{component}").evaluate(INSIDE) == 0
    async with page.expect_download() as downloading:
        await page.locator(".card .save").click()
    saved = await downloading.value
    await saved.save_as(tmp_path / "note")
    assert (tmp_path / "note").read_bytes() == HOSTILE.encode()
    assert saved.suggested_filename == f"note-{hostile.id[:8]}.txt"

    await page.locator(".card .back").click()
    await page.wait_for_selector(f'.table tr[data-id="{large.id}"]', timeout=WAIT_MS)
    assert await page.locator("section.table").evaluate(INSIDE) == 0
    await page.locator(f'.table tr[data-id="{large.id}"]').click()
    await wait_until(lambda: says(page, ".card .said", "The first 65,536 of 1,250,000 bytes."), timeout=10)
    await page.locator(".card .more").click()
    await wait_until(lambda: says(page, ".card .said", "The first 327,680 of"), timeout=10)
    for note, words in ((binary, "5,000 bytes that are no text."), (broken, "All of it")):
        await page.locator(f'.lineage li[data-note="{note.id}"]').click()
        await page.wait_for_selector(f'.card[data-note="{note.id}"]', timeout=WAIT_MS)
        assert await says(page, ".card .said", words)
    assert "almost \\xff\\xfe text" in await page.locator(".card pre").inner_text()
    assert await page.evaluate("window.hacked === undefined")
    assert (seen.foreign, seen.wrongs) == ([], [])


async def test_what_was_forgotten_shows_nothing_and_the_past_shows_what_has_only_expired(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock
) -> None:
    secret = await put(flock, "ann", "The secret of the owls.", key="secret")
    brief = await put(flock, "ann", "Here for a moment.", key="brief", ttl=timedelta(seconds=2))
    (*_, written) = [event async for event in flock.log.read()]
    assert written.position is not None
    served = await serve_page(roost)
    seen = await opened(browser, served, f"/memory?note={secret.id}")
    page = seen.page
    await wait_until(lambda: says(page, "pre", "The secret of the owls."), timeout=10)
    await flock.memory.forget(secret.id)
    await wait_until(lambda: says(page, ".card .fate", "was forgotten"), timeout=10)  # before eyes
    assert await page.locator(".card pre").inner_text() == ""
    await page.locator(".card .back").click()
    await wait_until(lambda: lists(page, "No note is like that."), timeout=15)  # the other expires meanwhile
    await page.locator(".finder [name=fate]").select_option("gone")
    await wait_until(lambda: lists(page, "brief (expired)", "secret (forgotten)"), timeout=10)
    await page.locator(f'.table tr[data-id="{brief.id}"]').click()
    await wait_until(lambda: says(page, ".card .fate", "It expired at"), timeout=10)
    assert await page.locator(".card pre").inner_text() == ""

    at = written.position.ms
    await page.goto(f"{served.url}/memory?note={brief.id}&at={at}")
    await wait_until(lambda: says(page, ".card .fate", "has expired since"), timeout=20)
    assert await page.locator(".card pre").inner_text() == "Here for a moment."
    await page.goto(f"{served.url}/memory?note={secret.id}&at={at}")
    await wait_until(lambda: says(page, ".card .fate", "forgotten since"), timeout=20)
    assert "secret of the owls" not in await page.content()
    assert await page.locator(".card pre").inner_text() == ""
    await page.locator(".card .back").click()
    await wait_until(lambda: lists(page, "brief", "secret"), timeout=20)
    assert page.url.endswith(f"/memory?at={at}")
    assert (seen.foreign, seen.wrongs) == ([], [])


@pytest.mark.long
@pytest.mark.alone
async def test_a_hundred_thousand_notes_do_not_slow_the_page_beyond_a_second(
    serve_page: Serve, browser: Browser, roost: RoostCommand, flock: Flock
) -> None:
    notes = [f"{number:024x}" for number in range(MANY)]
    for start in range(0, MANY, 250):
        await flock.append(*[_written(number, notes) for number in range(start, start + 250)])
    served = await serve_page(roost)
    seen = await opened(browser, served, "/memory")
    page = seen.page
    await wait_until(lambda: says(page, FOUND, f"{MANY:,} notes of {MANY:,}"), timeout=90)
    took: dict[str, tuple[float, float]] = {}

    async def clock(what: str, act: Awaitable[object], then: Callable[[], object]) -> None:
        began, spent = time.monotonic(), _processor_s(served.process.pid)
        await act
        await wait_until(then, timeout=20, every=0.05)
        took[what] = time.monotonic() - began, _processor_s(served.process.pid) - spent

    many, second = f"{MANY:,} notes of", "2 of 2,000"
    await clock("find", page.locator(".finder [name=words]").fill("owls 99999"), lambda: says(page, FOUND, "1 note of"))
    await clock("clear", page.locator(".finder .clear").click(), lambda: says(page, FOUND, many))
    await clock("sort", page.locator(".finder [name=sort]").select_option("reused"), lambda: "sort=reused" in page.url)
    await clock("turn", page.locator(".finder .after").click(), lambda: says(page, ".page", second))
    await clock("open", page.locator(".table tbody tr").nth(3).click(), lambda: page.locator(".card h2").count())
    await clock("back", page.locator(".card .back").click(), lambda: says(page, ".page", second))
    figure = ", ".join(f"{what} {wall_s:.2f} s ({cpu_s:.2f} s of CPU)" for what, (wall_s, cpu_s) in took.items())
    print(f"\n{MANY:,} notes: {figure}")  # noqa: T201 (what was measured is to be seen with -s, and when it fails)
    assert max(cpu_s for _, cpu_s in took.values()) < SECOND_S, figure
    assert sorted(wall_s for wall_s, _ in took.values())[len(took) // 2] < 2 * SECOND_S, figure
    assert (seen.foreign, seen.wrongs) == ([], [])


def _processor_s(pid: int) -> float:
    """What the page's process has used of the processor, by all of its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _written(number: int, notes: list[str]) -> Event:
    record = NoteRecord(
        id=notes[number], key=f"owls {number}", digest=f"{number:064x}", size=100, author=f"agent-{number % 50}",
        run=f"run-{number // 1_000}", tags=("owls",), sources=tuple(notes[max(0, number - 2) : number]),
        written_ms=round(time.time() * 1000),
    )  # fmt: skip
    return Event(type="note.written", subject=f"note/{record.id}", body=record.to_json(), actor=record.author)


def test_text_that_is_cut_ends_with_a_whole_character() -> None:
    from roost.dashboard.contents import readable

    text = "aä€🐦"
    for length in range(len(text.encode()) + 1):
        shown = readable("text", text.encode()[:length], whole=False)
        assert shown is not None
        assert text.startswith(shown)
    assert readable("text", b"a\xff", whole=True) == "a\\xff"
    assert readable("json", orjson.dumps({"b": [1, "ü"]}), whole=True) == '{\n  "b": [\n    1,\n    "ü"\n  ]\n}'
    assert readable("bytes", bytes(range(256)), whole=True) is None
