"""`roost report --html`: one file that needs nothing else, and does nothing but show."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page
from roost_tests.browsing import open_browser
from roost_tests.command import RoostCommand
from roost_tests.recorded_runs import EVIL, record_deliveries, record_run

from roost.actors import Flock

RUN = "5e" * 12
CHARTS = ["Who worked when", "Made and saved over time", "Who built on whom", "How long it waited"]
POINTING = {"src", "srcset", "action", "formaction", "data", "poster", "background", "ping", "xlink:href"}
"""Attributes that make a browser ask for something."""


class Tags(HTMLParser):
    """What stands in a page: its tags, and what these point to outside of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.outside: list[str] = re.findall(r"(?:url\((?!#)|@import).{20}", text)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in POINTING or name.startswith("on") or (name == "href" and not (value or "").startswith("#")):
                self.outside.append(f"{tag} {name}={value}")


async def look_at(browser: Browser, path: Path, *, wide: int, dark: bool) -> tuple[Page, list[str]]:
    """The page in the browser, and whatever it asked for or complained of."""
    page = await browser.new_page(viewport={"width": wide, "height": 900}, color_scheme="dark" if dark else "light")
    wrongs: list[str] = []
    page.on("request", lambda request: None if request.url == path.as_uri() else wrongs.append(request.url))
    page.on("console", lambda said: wrongs.append(said.text))
    page.on("pageerror", lambda error: wrongs.append(str(error)))
    page.on("dialog", lambda dialog: wrongs.append(dialog.message))
    await page.goto(path.as_uri())
    return page, wrongs


async def test_the_page_stands_alone_and_shows_hostile_names_as_they_are(
    roost: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    for evil in EVIL:
        await record_deliveries(flock, RUN, agent=evil)
    missing = [{"what": evil, "reason": evil} for evil in EVIL]
    await record_run(flock, RUN, model=EVIL[0], agent=EVIL[1], ended="partial", missing=missing)
    ran = await roost("report", "--html", "run.html")
    assert (ran.code, ran.out, ran.err) == (0, "", "roost: wrote run.html\n")
    text = (tmp_path / "run.html").read_text("utf-8")
    tags = Tags(text)
    assert tags.outside == []
    assert tags.tags.isdisjoint({"script", "img", "a", "link", "iframe", "object", "embed", "form", "base"})
    assert len(text) < 1_000_000
    async with open_browser() as browser:
        for wide, dark in ((1280, False), (400, True)):
            page, wrongs = await look_at(browser, tmp_path / "run.html", wide=wide, dark=dark)
            assert await page.locator("figure h2").all_inner_texts() == CHARTS
            shown = page.locator("figure svg:visible")
            assert await shown.count() == len(CHARTS)
            drawn: list[dict[str, Any]] = await shown.evaluate_all("all => all.map(each => each.getBBox())")
            assert all(box is not None for box in drawn)
            assert await page.evaluate("document.documentElement.scrollWidth") <= wide
            assert await page.locator("img, script, a, iframe, object, form").count() == 0
            assert "</script><img src=x onerror=alert(1)>\\x1b" in await page.locator("body").inner_text()
            assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == (
                "rgb(17, 21, 28)" if dark else "rgb(253, 253, 254)"
            )
            assert wrongs == []


async def test_without_what_draws_it_a_line_says_what_to_install(
    roost: RoostCommand, flock: Flock, tmp_path: Path
) -> None:
    await record_run(flock, RUN)
    (tmp_path / "matplotlib.py").write_text("raise ImportError(name='matplotlib')")
    path = ":".join(filter(None, [str(tmp_path), roost.environment.get("PYTHONPATH", "")]))
    page, table = await asyncio.gather(
        roost("report", "--html", "run.html", PYTHONPATH=path), roost("report", PYTHONPATH=path)
    )
    assert (page.code, len(page.err.splitlines()), table.code) == (1, 1, 0)
    assert 'the page needs matplotlib: pip install ".[report]"' in page.err
    assert not (tmp_path / "run.html").exists()
