"""Pages: downloaded once for all, asked again only whether they have changed, never kept when that is not allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from roost_tests.crew import LEASE, events_of
from roost_tests.peer import Peer, peers
from roost_tests.site import Page, Site, serving
from roost_tests.waiting import wait_until

from roost.actors import Actor, Context, Flock, NotKept, Resource, on
from roost.actors.documents.errors import AddressRefused, DocumentTooLarge, FetchFailed
from roost.actors.documents.freshness import Freshness
from roost.streams import LimitExceeded, event

Join = Callable[..., Awaitable[Flock]]
LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"
HOUR = timedelta(hours=1)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as site:
        yield site


@pytest.fixture
def fetch(flock: Flock, site: Site) -> Callable[..., Awaitable[Resource]]:
    async def ask(path: str = "/", **terms: Any) -> Resource:
        return await flock.fetch(site.url(path), allow_private=True, **terms)

    return ask


async def test_many_who_ask_at_once_cause_one_download(flock: Flock, site: Site, fetch: Any, join: Join) -> None:
    door = asyncio.Event()
    site.pages["/"] = Page(b"# Owls", {"Content-Type": "text/markdown; charset=utf-8"}, door=door)
    other = await join(agent="other")
    asking = [asyncio.create_task(each.fetch(site.url("/"), allow_private=True)) for each in [flock, other] * 5]
    await wait_until(lambda: site.requests)
    door.set()
    pages = await asyncio.gather(*asking)
    assert len(site.requests) == 1
    assert {page.note.id for page in pages} == {pages[0].note.id}
    page = pages[0]
    assert (page.text, page.raw, page.size, page.media) == ("# Owls", b"# Owls", 6, "text/markdown")
    assert (page.location, page.note.key, page.note.sources) == (site.url("/"), f"page/{site.url('/')}", ())
    assert page.note.content == "# Owls"
    assert datetime.now(UTC) - page.checked < timedelta(minutes=1)
    assert [event.data["label"] for event in await events_of(flock, "work.claimed")] == [f"fetching {site.url('/')}"]


@pytest.mark.parametrize("by", [{"etag": '"1"'}, {"last_modified": LONG_AGO}], ids=str)
async def test_a_page_that_has_not_changed_keeps_its_note(site: Site, fetch: Any, by: dict[str, Any]) -> None:
    site.pages["/"] = Page(b"owls", **by)
    first = await fetch()
    again = await fetch()
    assert site.answered == ["200", "304"]
    assert again.note.id == first.note.id
    assert again.raw == b"owls"
    assert again.checked > first.checked


async def test_a_page_that_has_changed_gets_another_note(flock: Flock, site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"owls", etag='"1"')
    first = await fetch()
    site.pages["/"] = Page(b"storks", etag='"2"')
    second = await fetch()
    assert (first.text, second.text) == ("owls", "storks")
    assert second.note.id != first.note.id
    assert (await flock.memory.get(first.note.id)).text == "owls"
    present = await flock.memory.find(f"page/{site.url('/')}")
    assert present is not None
    assert present.id == second.note.id
    site.pages["/"] = Page(b"storks", etag='"3"')
    assert (await fetch()).note.id == second.note.id, "the same content is the same note"
    assert [request.get("if-none-match") for request in site.requests] == [None, '"1"', '"2"']


async def test_a_server_that_says_nothing_is_asked_each_time(site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"owls")
    notes = {(await fetch()).note.id for _ in range(3)}
    assert site.answered == ["200"] * 3
    assert len(notes) == 1


async def test_a_fresh_page_is_not_asked_for(flock: Flock, site: Site, fetch: Any, join: Join) -> None:
    site.pages["/"] = Page(b"owls", {"Cache-Control": "public, max-age=60"}, etag='"1"')
    await fetch()
    await (await join(agent="other")).fetch(site.url("/"), allow_private=True)
    assert len(site.requests) == 1
    await fetch(max_age=timedelta(0))
    assert site.answered == ["200", "304"]


async def test_the_caller_may_say_how_old_a_page_may_be(site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"owls", {"Cache-Control": "no-cache"}, etag='"1"')
    for max_age in (HOUR, HOUR, timedelta(0), None):
        await fetch(max_age=max_age)
    assert site.answered == ["200", "304", "304"]
    with pytest.raises(LimitExceeded, match="max_age is how old a page may be: it cannot be negative"):
        await fetch(max_age=timedelta(seconds=-1))


async def test_a_page_of_which_no_copies_are_allowed_is_not_kept(flock: Flock, site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"secret owls", {"Cache-Control": "no-store, max-age=60"}, etag='"1"')
    pages = await asyncio.gather(*[fetch(max_age=HOUR) for _ in range(3)])
    assert [page.text for page in pages] == ["secret owls"] * 3
    assert len(site.requests) == 3
    with pytest.raises(NotKept, match=r"its server allows no copies \(no-store\)"):
        _ = pages[0].note
    assert pages[0].kept is None
    for written in await events_of(flock, "note.written"):
        assert "secret" not in (await flock.memory.get(written.data["note"])).text
    site.pages["/"] = Page(b"open owls", etag='"2"')  # the server has thought better of it
    assert (await fetch()).text == (await fetch()).text == "open owls"
    assert (await fetch()).note.text == "open owls"


async def test_a_page_that_becomes_forbidden_to_keep_is_not_served_from_memory(site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"owls", etag='"1"')
    assert (await fetch()).kept is not None
    site.pages["/"] = Page(b"secret", {"Cache-Control": "no-store"}, etag='"2"')
    assert [(await fetch()).kept for _ in range(2)] == [None, None]


async def test_a_page_that_has_not_changed_but_must_not_be_kept_any_more_is_not(site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"owls", etag='"1"')
    assert (await fetch()).kept is not None
    site.pages["/"] = Page(b"owls", {"Cache-Control": "no-store"}, etag='"1"')
    page = await fetch()
    assert (page.kept, page.text) == (None, "owls")


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        (Page(b"gone", status="404 Not Found"), "the server answered 404 Not Found"),
        (Page(status="500 Internal Server Error"), "the server answered 500"),
        (Page(status="304 Not Modified"), "the server answered 304"),
        (Page(b"only half of it", cut_after=4), "broke off"),
    ],
    ids=["missing", "broken", "unasked 304", "cut"],
)
async def test_a_page_that_does_not_come_is_never_kept(
    flock: Flock, site: Site, fetch: Any, page: Page, complaint: str
) -> None:
    site.pages["/"] = page
    with pytest.raises(FetchFailed, match=complaint):
        await fetch()
    assert await events_of(flock, "note.written") == []
    site.pages["/"] = Page(b"owls", etag='"1"')
    good = await fetch()
    site.pages["/"] = page
    if "304" not in complaint:
        with pytest.raises(FetchFailed, match=complaint):
            await fetch()
    assert (await fetch(max_age=HOUR)).note.id == good.note.id, "what was known is still known"


async def test_a_slow_server_is_given_up_in_time(flock: Flock, site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"owls", door=asyncio.Event())
    with pytest.raises(FetchFailed, match=r"took over 0\.2 s"):
        await fetch(timeout=timedelta(seconds=0.2))
    door = site.pages["/"].door
    assert door is not None
    door.set()


async def test_a_page_that_is_too_large_is_refused(site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"x" * 2000)
    with pytest.raises(DocumentTooLarge, match="is over 1,000 bytes"):
        await fetch(max_bytes=1000)


async def test_only_public_pages_are_read_unless_the_program_allows_more(flock: Flock, site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"owls", {"Cache-Control": "max-age=60"})
    await fetch()
    with pytest.raises(AddressRefused, match="not a public address"):
        await flock.fetch(site.url("/"))
    with pytest.raises(FetchFailed, match="only http and https URLs are read"):
        await flock.fetch("file:///etc/passwd")


async def test_redirects_are_followed_and_the_page_they_lead_to_is_revalidated(site: Site, fetch: Any) -> None:
    site.pages["/old"] = Page(status="302 Found", headers={"Location": "/new"}, etag='"old"')
    site.pages["/new"] = Page(b"owls", etag='"1"')
    first = await fetch("/old")
    assert first.location == site.url("/new")
    assert (await fetch("/old")).note.id == first.note.id
    assert [(request["path"], request.get("if-none-match")) for request in site.requests] == [
        ("/old", None), ("/new", None), ("/old", None), ("/new", '"1"'),
    ]  # fmt: skip


async def test_a_redirect_may_lead_elsewhere_however_long_the_page_it_leads_to_is_fresh(site: Site, fetch: Any) -> None:
    site.pages["/latest"] = Page(status="302 Found", headers={"Location": "/v1"})
    site.pages["/v1"] = Page(b"one", {"Cache-Control": "max-age=31536000, immutable"})
    site.pages["/v2"] = Page(b"two", {"Cache-Control": "max-age=31536000, immutable"})
    assert (await fetch("/latest")).text == "one"
    site.pages["/latest"] = Page(status="302 Found", headers={"Location": "/v2"})
    assert (await fetch("/latest")).text == "two"


async def test_an_etag_that_no_header_can_hold_is_not_sent_back(site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"owls", {"ETag": '"ühu"'})
    assert [(await fetch()).text for _ in range(2)] == ["owls", "owls"]
    assert [request.get("if-none-match") for request in site.requests] == [None, None]


@pytest.mark.parametrize("charset", ["undefined", "idna", "hex", "no-such"])
async def test_a_charset_that_reads_no_text_is_as_none(site: Site, fetch: Any, charset: str) -> None:
    site.pages["/"] = Page("Käuze".encode("latin-1"), {"Content-Type": f"text/html; charset={charset}"})
    assert "uze" in (await fetch()).text


async def test_a_page_is_text_in_the_encoding_that_its_server_names(site: Site, fetch: Any) -> None:
    site.pages["/"] = Page("Käuze".encode("latin-1"), {"Content-Type": "text/html; charset=ISO-8859-1"})
    page = await fetch()
    assert (page.text, page.encoding, page.media) == ("Käuze", "iso-8859-1", "text/html")
    assert page.note.content == "Käuze".encode("latin-1")


async def test_a_page_that_was_forgotten_is_downloaded_again(flock: Flock, site: Site, fetch: Any) -> None:
    site.pages["/"] = Page(b"owls", {"Cache-Control": "max-age=60"}, etag='"1"')
    first = await fetch()
    await flock.memory.forget(first.note.id)
    second = await fetch()
    assert second.note.id != first.note.id
    assert site.answered == ["200", "200"]


async def test_when_the_downloading_process_is_killed_another_takes_over(
    flock: Flock, site: Site, settings: dict[str, Any]
) -> None:
    door = asyncio.Event()
    site.pages["/"] = Page(b"owls", {"Cache-Control": "max-age=60"}, door=door)
    async with peers(
        Peer("fetch", **settings, place=site.url("/")), Peer("fetch", **settings, place=site.url("/"))
    ) as (first, second):
        first.go()
        await wait_until(lambda: len(site.requests) == 1)
        second.go()
        here = asyncio.create_task(flock.fetch(site.url("/"), allow_private=True))
        await asyncio.sleep(LEASE.total_seconds())  # the claim is renewed all the while
        assert len(site.requests) == 1
        first.kill()
        await wait_until(lambda: len(site.requests) == 2)
        door.set()
        assert await second.hear("note") == (await here).note.id
        assert await second.hear("text") == "owls"
    assert len(site.requests) == 2
    assert len(await events_of(flock, "work.computed")) == 1


@event("test.page_wanted")
@dataclass(frozen=True)
class PageWanted:
    url: str


@event("test.page_counted")
@dataclass(frozen=True)
class PageCounted:
    words: int
    page: str


class Librarian(Actor):
    @on(PageWanted)
    async def count(self, wanted: PageWanted, ctx: Context[None]) -> PageCounted:
        page = await ctx.fetch(wanted.url, allow_private=True)
        await ctx.memory.put("counted", key="counted")
        return PageCounted(len(page.text.split()), page.note.id)


async def test_a_handler_fetches_and_builds_on_the_page(flock: Flock, site: Site) -> None:
    site.pages["/"] = Page(b"owls hunt at night", etag='"1"')
    async with flock.work(Librarian):
        await flock.append(PageWanted(site.url("/")))
        await wait_until(lambda: events_of(flock, "test.page_counted"))
    (counted,) = await events_of(flock, "test.page_counted")
    note = await flock.memory.find("counted")
    assert note is not None
    assert (counted.data["words"], note.sources) == (4, (counted.data["page"],))


def test_parts_are_served_from_the_whole() -> None:
    page = Resource("here", "text/plain", "utf-8-sig", datetime.now(UTC), "\ufeffeins\nzwei\r\ndrei, ö".encode())
    assert page.text == "eins\nzwei\r\ndrei, ö"
    assert [page.lines(1), page.lines(2, 2), page.lines(2, 9), page.lines(9)] == [
        page.text, "zwei\r\n", "zwei\r\ndrei, ö", "",
    ]  # fmt: skip
    assert [page.characters(0, 4), page.characters(17), page.characters(99)] == ["eins", "ö", ""]
    assert [page.bytes(3, 7), page.bytes(99)] == [b"eins", b""]
    parts: list[tuple[Any, ...]] = [(page.lines, 0), (page.lines, 1, 0), (page.characters, -1), (page.bytes, 0, -1)]
    for part, *wrong in parts:
        with pytest.raises(LimitExceeded, match=r"(lines|characters|bytes) are counted from [01]"):
            part(*wrong)


@pytest.mark.parametrize(
    ("headers", "lasts_s", "no_store"),
    [
        ({}, 0, False),
        ({"cache-control": "max-age=60"}, 60, False),
        ({"cache-control": 'Public, MAX-AGE="60"', "age": "20"}, 40, False),
        ({"cache-control": "max-age=60", "age": "100"}, 0, False),
        ({"cache-control": "max-age=60, no-cache"}, 0, False),
        ({"cache-control": "max-age=60, No-Store"}, 0, True),
        ({"cache-control": "max-age=-5"}, 0, False),
        ({"cache-control": "max-age=soon"}, 0, False),
        ({"cache-control": "max-age=" + "9" * 400}, 365 * 86400, False),
        ({"cache-control": "max-age=" + "9" * 5000, "age": "9" * 5000}, 0, False),
        ({"expires": "Thu, 01 Jan 1970 00:01:00 GMT", "date": LONG_AGO}, 60, False),
        ({"expires": "Thu, 01 Jan 1970 00:01:00 GMT", "date": LONG_AGO, "cache-control": "max-age=5"}, 5, False),
        ({"expires": "0", "date": LONG_AGO}, 0, False),
        ({"expires": LONG_AGO}, 0, False),
        ({"expires": LONG_AGO, "date": "Thu, 01 Jan 1970 00:01:00 GMT"}, 0, False),
    ],
    ids=str,
)
def test_freshness_is_what_the_server_says(headers: dict[str, str], lasts_s: int, no_store: bool) -> None:
    assert Freshness.of(headers) == Freshness(timedelta(seconds=lasts_s), no_store)
