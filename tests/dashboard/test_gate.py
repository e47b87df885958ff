"""The gate: who comes in, to whatever is served, and who does not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest
from playwright.async_api import Browser
from roost_tests.command import RoostCommand
from roost_tests.served_page import ServedPage, open_page
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from roost.dashboard.gate import cookie_in, policy_for
from roost.dashboard.tokens import Tokens
from roost.streams import SettingsError

Serve = Callable[..., Awaitable[ServedPage]]
READ, WRITE = "a-token-of-who-looks", "a-token-of-who-writes"
ROUTES = (
    "/", "/run", "/static/index.html", "/media/0.png", "/_stcore/host-config", "/_stcore/metrics", "/index.html",
    "/_stcore/upload_file/a/b", "/component/x/y.js", "/_stcore/bidi-components/x/y.js", "/favicon.png", "/nowhere",
)  # fmt: skip


@pytest.fixture
async def shared(serve_page: Serve, roost: RoostCommand) -> ServedPage:
    """A page that other machines may reach."""
    roost.environment |= {"ROOST_DASH_TOKEN": READ, "ROOST_DASH_WRITE_TOKEN": WRITE}
    return await serve_page(roost, "--host", "0.0.0.0", "--write")


@pytest.fixture
async def client(shared: ServedPage) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser's requests to it, without its cookies."""
    port = shared.url.rpartition(":")[2]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client


async def stream(client: httpx2.AsyncClient, **headers: str) -> int:
    """The status with which the connection of a page is answered."""
    try:
        async with connect(
            f"ws://{client.base_url.netloc.decode()}/_stcore/stream", additional_headers=headers, proxy=None
        ):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_nothing_is_served_without_the_token(client: httpx2.AsyncClient, shared: ServedPage) -> None:
    told = "\n".join(shared.lines)
    assert f"is on {shared.url} with the token in ROOST_DASH_TOKEN; Ctrl-C" in told
    assert f"from the page: {shared.url} with the token in ROOST_DASH_WRITE_TOKEN" in told
    assert READ not in told
    assert WRITE not in told
    for route in ROUTES:
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"):
            answer = await client.request(method, route)
            assert answer.status_code == 401, (method, route)
    page = await client.get("/memory?note=<b>")
    assert "This page is shown to who has its token" in page.text
    assert "<b>" not in page.text
    assert await stream(client) == 403
    assert await stream(client, Cookie=f"roost_{client.base_url.port}=wrong") == 403
    assert (await client.get("/_stcore/health")).text == "ok"


async def test_the_token_opens_all_of_it_and_leaves_the_address(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/memory", params={"token": READ, "note": "a"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/memory?note=a")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"roost_{client.base_url.port}={READ};")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert (await client.get("/")).status_code == 200
    assert (await client.get("/memory?note=a")).headers["location"] == "/?page=memory&note=a"
    assert (await client.get("/_stcore/host-config")).status_code == 200
    own = f"roost_{client.base_url.port}={READ}"
    assert await stream(client, Cookie=own) == 101
    assert await stream(client, Cookie=own, Origin="http://evil.example") == 403
    answer = await client.put("/_stcore/upload_file/a/b", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    answer = await client.put("/_stcore/upload_file/a/b", files={"a": b"x"})  # of who may only look
    assert (answer.status_code, "write token" in answer.text) == (403, True)


async def test_an_address_that_is_none_leads_to_the_first_page(client: httpx2.AsyncClient) -> None:
    await client.get("/", params={"token": READ})
    as_browser = {"Accept": "text/html,*/*;q=0.8"}
    for path in ("/no/where", "/etc/passwd", "/live", "/run/more"):
        answer = await client.get(path, headers=as_browser)
        assert (answer.status_code, answer.headers["location"]) in ((303, "/"), (303, "/?page=live")), path
    assert (await client.get("/_stcore/health", headers=as_browser)).status_code == 200


async def test_a_wrong_token_is_refused_and_may_be_entered_again(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/", params={"token": READ[:-1]})
    assert answer.status_code == 401
    assert "is not, or no longer" in answer.text
    assert "set-cookie" not in answer.headers
    refused = await client.post("/_roost/token", data={"token": "nonsense", "to": "/run"})
    assert refused.status_code == 401
    assert 'name="to" value="/run"' in refused.text
    assert (await client.post("/_roost/token", content=b"x" * 10_000)).status_code == 413
    admitted = await client.post("/_roost/token", data={"token": READ, "to": "//evil.example"})
    assert (admitted.status_code, admitted.headers["location"]) == (303, "/")


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/\\evil.example", "evil"])
async def test_who_has_entered_stays_here(client: httpx2.AsyncClient, to: str) -> None:
    admitted = await client.post("/_roost/token", data={"token": READ, "to": to})
    assert admitted.headers["location"] == "/"


async def test_all_answers_forbid_what_is_foreign(client: httpx2.AsyncClient) -> None:
    for route in ("/", "/_stcore/health", f"/?token={READ}"):
        headers = (await client.get(route)).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert re.search(r"script-src [^;]*'unsafe-(inline|eval)'", headers["content-security-policy"]) is None
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")


async def test_a_page_of_this_machine_alone_is_shown_without_a_token_under_its_own_names_only(
    serve_page: Serve, roost: RoostCommand
) -> None:
    served = await serve_page(roost)
    async with httpx2.AsyncClient(base_url=served.url, trust_env=False) as client:
        assert (await client.get("/")).status_code == 200
        for host in ("evil.example", "[::1", "127.0.0.1.evil.example", "evil.example:127", "@127.0.0.1.x"):
            assert (await client.get("/", headers={"Host": host})).status_code == 400, host
        for origin in ("http://[::1", "null", "nonsense", "http://evil.example"):
            assert (await client.put("/_stcore/upload_file/a/b", headers={"Origin": origin})).status_code == 403, origin
        assert (await client.get("/?token=nonsense")).status_code == 401
        assert served.write_link is not None
        admitted = await client.get(served.write_link)
        assert admitted.status_code == 303


async def test_the_link_opens_the_page_in_a_browser_and_a_wrong_one_does_not(
    shared: ServedPage, browser: Browser
) -> None:
    shared.url = re.sub(r"//[^:]+", "//127.0.0.1", shared.url)
    shared.link = f"{shared.url}/?token={READ}"
    seen = await open_page(browser, shared)
    await seen.page.wait_for_selector(".flock .figures dd", timeout=30_000)
    assert "token" not in seen.page.url
    assert (seen.foreign, seen.wrongs) == ([], [])
    other = await browser.new_page()
    answer = await other.goto(f"{shared.url}/?token=nonsense-nonsense")
    assert answer is not None
    assert answer.status == 401
    await other.get_by_label("Token").fill(READ)
    await other.get_by_role("button", name="Look").click()
    await other.wait_for_selector(".flock .figures dd", timeout=30_000)


async def test_tokens_that_are_made_are_shown_once_in_the_links(serve_page: Serve, roost: RoostCommand) -> None:
    served = await serve_page(roost, "--host", "0.0.0.0")
    assert re.fullmatch(rf"{served.url}/\?token=\S{{32}}", served.link)
    assert served.write_link is None  # a page that is shared is for looking, unless it is said otherwise


@pytest.mark.parametrize(
    ("read", "write"), [("short", None), (None, "short"), ("ä" * 20, None), ("x" * 20, "x" * 20), ("\n" * 20, None)]
)
def test_tokens_that_are_none_are_refused(read: str | None, write: str | None) -> None:
    with pytest.raises(SettingsError, match="ROOST_DASH_"):
        Tokens.make(shared=True, writes=True, read=read, write=write)


def test_who_may_what() -> None:
    tokens = Tokens.make(shared=True, writes=True, read=READ, write=WRITE)
    assert [tokens.right_of(shown) for shown in (None, "", "x", READ, WRITE)] == [
        "none",
        "none",
        "none",
        "read",
        "write",
    ]
    mine = Tokens.make(shared=False, writes=True)
    assert (mine.right_of(None), mine.right_of(mine.write)) == ("read", "write")
    watching = Tokens.make(shared=True, writes=False, read=READ, write=WRITE)
    assert (watching.write, watching.right_of(WRITE)) == (None, "none")
    made = {Tokens.make(shared=True, writes=True).read for _ in range(50)}
    assert len(made) == 50
    assert READ not in repr(tokens)


def test_of_scripts_in_a_page_only_the_frames_own_may_run() -> None:
    policy = policy_for("<script>a()</script><script src='x.js'></script>")
    assert policy.count("'sha256-") == 1


@pytest.mark.parametrize("header", ["", "x", "a=b; roost_1=", 'roost_1="a', "roost_1=\x00", ";;;=;"])
def test_odd_cookies_are_no_token(header: str) -> None:
    assert Tokens.make(shared=True, writes=True).right_of(cookie_in(header, "roost_1")) == "none"
