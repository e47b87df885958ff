"""`roost dash` in a process of its own, and what a browser says of the page."""

from __future__ import annotations

import asyncio
import re
import signal
from dataclasses import dataclass, field

from playwright.async_api import Browser, Page

from .command import RoostCommand

ADDRESS = re.compile(r"on (http://[^/\s]+)(/\?token=\S+)?( with the token in ROOST_DASH_TOKEN)?; Ctrl-C")
WRITE = re.compile(r"from the page: (http://\S+)")
START_S = 60
END_S = 20
PATIENCE_MS = 30_000


@dataclass(slots=True)
class ServedPage:
    """A page that is being served; `lines` is what the command has said.

    `url` is its address, `link` the one that was printed for who looks, `write_link` for who may change things.
    """

    process: asyncio.subprocess.Process
    url: str
    link: str
    write_link: str | None
    lines: list[str]

    async def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        try:
            async with asyncio.timeout(END_S):
                _, err = await self.process.communicate()
        except TimeoutError:
            self.process.kill()
            raise
        self.lines += err.decode().splitlines()
        assert self.process.returncode is not None
        return self.process.returncode


async def serve(roost: RoostCommand, *words: str) -> ServedPage:
    """Starts it on any free port, and waits until it says where."""
    process = await roost.start("dash", "--port", "0", *words)
    assert process.stderr is not None
    lines: list[str] = []
    async with asyncio.timeout(START_S):
        while line := (await process.stderr.readline()).decode().rstrip():
            lines.append(line)
            if found := ADDRESS.search(line):
                write = next((told[1] for told in map(WRITE.search, lines) if told), None)
                return ServedPage(process, found[1], found[1] + (found[2] or ""), write, lines)
    raise AssertionError(f"the page was not served: {lines}")


@dataclass(slots=True)
class Seen:
    """A page in the browser. `foreign` are requests to anywhere but its server; `wrongs` what it complained of."""

    page: Page
    foreign: list[str] = field(default_factory=list[str])
    wrongs: list[str] = field(default_factory=list[str])


async def look_at(browser: Browser, served: ServedPage, *, dark: bool = False, wide: int = 1400) -> Seen:
    """Opens the first page and waits until it shows a flock."""
    seen = await open_page(browser, served, dark=dark, wide=wide)
    await seen.page.wait_for_selector(".flock .figures dd", timeout=PATIENCE_MS)
    await seen.page.wait_for_selector(".ledger tbody td", timeout=PATIENCE_MS)
    return seen


async def open_page(
    browser: Browser, served: ServedPage, path: str = "/", *, writes: bool = False, dark: bool = False, wide: int = 1400
) -> Seen:
    """Opens a page (`/memory?note=…`) by the link for who looks, or by that for who may change things."""
    page = await browser.new_page(
        viewport={"width": wide, "height": 900},
        color_scheme="dark" if dark else "light",
        reduced_motion="no-preference",
    )
    seen = Seen(page)
    local = (served.url, served.url.replace("http:", "ws:"), "blob:", "data:")
    page.on("request", lambda request: None if request.url.startswith(local) else seen.foreign.append(request.url))
    page.on("websocket", lambda socket: None if socket.url.startswith(local) else seen.foreign.append(socket.url))
    page.on("pageerror", lambda error: seen.wrongs.append(str(error)))
    page.on("console", lambda said: seen.wrongs.append(said.text) if said.type == "error" else None)
    link = served.write_link if writes else served.link
    assert link is not None
    _, _, token = link.partition("?")
    await page.goto(f"{served.url}{path}{'&' if '?' in path else '?'}{token}" if token else f"{served.url}{path}")
    return seen


async def says(page: Page, words: str) -> bool:
    """Whether the page, or a component in it, says that."""
    told = """() => {
      const texts = [document.body.innerText];
      for (const { shadowRoot } of document.querySelectorAll("*")) if (shadowRoot)
        for (const child of shadowRoot.children) texts.push(child.innerText || "");
      return texts.join("\\n");
    }"""
    text: str = await page.evaluate(told)
    return words in text
