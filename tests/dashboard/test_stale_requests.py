"""A part of a page that has been left asks to be kept up: the page that is there now stays."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from playwright.async_api import Browser, WebSocketRoute
from roost_tests.command import RoostCommand
from roost_tests.served_page import Seen, ServedPage
from roost_tests.waiting import wait_until
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState

from roost.dashboard.stale import is_stale

Serve = Callable[..., Awaitable[ServedPage]]
PATIENCE_MS = 30_000


class Wire:
    """Between the browser and the page's server: keeps what parts of the page have asked, to ask it once more."""

    def __init__(self) -> None:
        self.asked: dict[str, bytes] = {}
        self._server: WebSocketRoute | None = None

    def take(self, socket: WebSocketRoute) -> None:
        server = self._server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if isinstance(message, bytes) and (part := BackMsg.FromString(message).rerun_script.fragment_id):
                self.asked[part] = message
            server.send(message)

        socket.on_message(pass_on)

    def ask_again(self) -> None:
        assert self._server is not None
        for message in self.asked.values():
            self._server.send(message)


async def test_what_the_page_before_asks_late_does_not_empty_the_page(
    serve_page: Serve, browser: Browser, roost: RoostCommand
) -> None:
    served, wire = await serve_page(roost), Wire()
    page = await browser.new_page()
    seen = Seen(page)
    page.on("console", lambda said: seen.wrongs.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: seen.wrongs.append(str(error)))
    await page.route_web_socket(re.compile(r".*/_stcore/stream.*"), wire.take)
    await page.goto(f"{served.url}/start")
    await page.wait_for_selector("section.board", timeout=PATIENCE_MS)
    await wait_until(lambda: len(wire.asked) >= 2, timeout=20)  # the bar, which all pages have, and the board
    stale = dict(wire.asked)
    await page.get_by_role("link", name="Operations").click()
    await page.wait_for_selector("section.alerts", timeout=PATIENCE_MS)
    wire.asked = stale
    wire.ask_again()
    wire.asked = {}
    await wait_until(lambda: len(wire.asked) >= 2, timeout=20)  # the parts of this page go on
    assert await page.locator("section.alerts").count() == 1
    assert await page.locator("section.board").count() == 0
    assert seen.wrongs == []


def test_only_parts_of_another_page_are_stale() -> None:
    part, whole = ClientState(fragment_id="f", page_script_hash="a"), ClientState(page_script_hash="a")
    assert [is_stale(part, "b"), is_stale(part, "a"), is_stale(part, ""), is_stale(whole, "b")] == [
        True, False, False, False,
    ]  # fmt: skip
