"""A URL is read from the address that was checked, within bounds, and from nowhere that is not public."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import roost_tests

from roost.actors.documents import Limits, Source, fetch, open_document
from roost.actors.documents import address as address_module
from roost.actors.documents import download as download_module
from roost.actors.documents.errors import AddressRefused, DocumentTooLarge, EmptyDocument, FetchFailed

TLS = Path(roost_tests.__file__).parent / "tls"
Resolve = Callable[[dict[str, list[list[str]]]], list[str]]


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    given = {"Content-Length": str(len(body)), "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class Site:
    """A server that gives out `pages`, byte for byte, and remembers what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.endless: dict[str, tuple[bytes, float]] = {}
        """What is sent again and again, and how many seconds apart."""
        self.requests: list[dict[str, str]] = []
        self.port = 0

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            path = first.split()[1]
            self.requests.append(
                {"path": path} | {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
            )
            writer.write(self.pages.get(path, answer(b"nothing here", "404 Not Found")))
            await writer.drain()
            while path in self.endless:
                part, seconds = self.endless[path]
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(seconds)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as some tests want it to
        finally:
            writer.close()


@asynccontextmanager
async def serving(host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Site]:
    site = Site()
    server = await asyncio.start_server(site.serve, host, port, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        await server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=5) if others else None


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as site:
        yield site


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Makes names lead to addresses: one list for each time they are asked for. Answers the list of names asked for."""
    real = socket.getaddrinfo

    def lead(names: dict[str, list[list[str]]]) -> list[str]:
        asked: list[str] = []

        def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
            asked.append(host)
            if host not in names:
                return real(host, port, *args, **kwargs)
            addresses = names[host].pop(0)
            return [place for address in addresses for place in real(address, port, type=socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return lead


def spooled(folder: Path) -> list[Path]:
    return list(folder.glob("spool*"))


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_page_is_saved_with_what_the_server_says_of_it(site: Site, tmp_path: Path) -> None:
    site.pages["/a?b=c"] = answer(
        b"# Page",
        Content_Type="Text/Markdown; Charset=ISO-8859-1",
        ETag='"1"',
        Last_Modified="Thu, 01 Jan 1970 00:00:00 GMT",
    )
    fetched = await fetch(site.url("/a?b=c#d"), tmp_path, allow_private=True)
    assert content(fetched.path) == b"# Page"
    assert (fetched.url, fetched.size) == (site.url("/a?b=c"), 6)
    assert (fetched.media, fetched.charset) == ("text/markdown", "iso-8859-1")
    assert (fetched.etag, fetched.last_modified) == ('"1"', "Thu, 01 Jan 1970 00:00:00 GMT")
    (request,) = site.requests
    assert request["host"] == f"127.0.0.1:{site.port}"
    assert request["user-agent"].startswith("roost/")
    assert request["accept-encoding"] == "gzip"
    assert "cookie" not in request


@pytest.mark.parametrize(
    "host",
    [
        *[
            "127.0.0.1",
            "localhost",
            "LocalHost.",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "2130706433",
            "127.1",
        ],
        *["0x7f.1", "0177.0.0.1", "0x7f000001", "0.0.0.0", "0", "[::]", "[64:ff9b::7f00:1]"],
    ],
)
async def test_this_machine_is_not_read_from_under_any_name(site: Site, tmp_path: Path, host: str) -> None:
    with pytest.raises(FetchFailed, match=r"not a public address|is no URL"):
        await fetch(site.url("/", host), tmp_path)
    assert site.requests == []
    assert spooled(tmp_path) == []


async def test_a_name_that_leads_to_a_private_address_is_refused(site: Site, tmp_path: Path, resolve: Resolve) -> None:
    resolve({"docs.example": [["127.0.0.1"]], "mixed.example": [["192.0.2.1", "93.184.215.14", "10.0.0.1"]]})
    with pytest.raises(AddressRefused, match=r"docs\.example: leads to 127\.0\.0\.1, not a public address"):
        await fetch(site.url("/", "docs.example"), tmp_path)
    with pytest.raises(AddressRefused, match=r"mixed\.example: leads to"):
        await fetch(site.url("/", "mixed.example"), tmp_path)
    assert site.requests == []


async def test_a_name_that_changes_its_mind_leads_nowhere(site: Site, tmp_path: Path, resolve: Resolve) -> None:
    async with serving("127.0.0.2", site.port) as trap:
        site.pages["/a"] = answer(b"good")
        asked = resolve({"docs.example": [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2"]]})
        fetched = await fetch(site.url("/a", "docs.example"), tmp_path, allow_private=True)
        assert content(fetched.path) == b"good"
        assert asked == ["docs.example"]
        assert site.requests[0]["host"] == f"docs.example:{site.port}"
        assert trap.requests == []


async def test_the_next_address_of_a_name_is_tried_when_one_does_not_answer(
    site: Site, tmp_path: Path, resolve: Resolve
) -> None:
    site.pages["/a"] = answer(b"good")
    resolve({"docs.example": [["127.0.0.3", "127.0.0.1"]]})
    assert (await fetch(site.url("/a", "docs.example"), tmp_path, allow_private=True)).size == 4


async def test_redirects_are_followed_five_times(site: Site, tmp_path: Path) -> None:
    for i in range(7):
        site.pages[f"/{i}"] = answer(status="302 Found", Location=f"/{i + 1}" if i % 2 else site.url(f"/{i + 1}"))
    site.pages["/7"] = answer(b"at last")
    fetched = await fetch(site.url("/2"), tmp_path, allow_private=True)
    assert (fetched.url, fetched.size) == (site.url("/7"), 7)
    with pytest.raises(FetchFailed, match="redirects over 5 times"):
        await fetch(site.url("/1"), tmp_path, allow_private=True)
    assert len(spooled(tmp_path)) == 1


@pytest.mark.parametrize(
    "location",
    [
        *[
            "http://169.254.169.254/latest/meta-data/",
            "http://[fd00:ec2::254]/",
            "//169.254.169.254/",
            "http://0.0.0.0/",
        ],
        *["http://[::ffff:169.254.169.254]/", "http://metadata.example/", "http://2852039166/"],
    ],
)
async def test_a_redirect_to_where_credentials_are_handed_out_is_refused_even_if_private_ones_are_allowed(
    site: Site, tmp_path: Path, resolve: Resolve, location: str
) -> None:
    resolve({"metadata.example": [["169.254.169.254"]]})
    site.pages["/"] = answer(status="307 Temporary Redirect", Location=location)
    with pytest.raises(AddressRefused, match="not a public address"):
        await fetch(site.url("/"), tmp_path, allow_private=True)


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "localhost", "internal.example"])
async def test_a_public_page_does_not_lead_to_a_private_one(
    site: Site, tmp_path: Path, resolve: Resolve, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    real = address_module.may_reach

    def may_reach(address: address_module.Address, *, allow_private: bool) -> bool:
        return address == ip_address("127.0.0.1") or real(address, allow_private=allow_private)

    monkeypatch.setattr(download_module, "may_reach", may_reach)  # this machine plays the public network
    resolve({"public.example": [["127.0.0.1"]], "internal.example": [["10.0.0.1"]]})
    site.pages["/"] = answer(status="301 Moved Permanently", Location=site.url("/", host))
    with pytest.raises(AddressRefused, match="not a public address"):
        await fetch(site.url("/", "public.example"), tmp_path)
    assert len(site.requests) == 1


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/", "javascript:alert(1)", "http://["])
async def test_a_redirect_to_another_kind_of_url_is_refused(site: Site, tmp_path: Path, location: str) -> None:
    site.pages["/"] = answer(status="302 Found", Location=location)
    with pytest.raises(FetchFailed, match=r"only http and https URLs are read|no such host"):
        await fetch(site.url("/"), tmp_path, allow_private=True)


async def test_a_packed_page_is_unpacked_in_bounded_steps(site: Site, tmp_path: Path) -> None:
    page = b"words and words\n" * 50_000
    site.pages["/"] = answer(gzip.compress(page), Content_Encoding="gzip")
    assert content((await fetch(site.url("/"), tmp_path, allow_private=True)).path) == page
    bomb = gzip.compress(bytes(64 * 1_048_576))
    assert len(bomb) < 100_000
    site.pages["/bomb"] = answer(bomb, Content_Encoding="gzip")
    with pytest.raises(DocumentTooLarge, match=r"/bomb: is over 1 MB; download it yourself and name the file"):
        await fetch(site.url("/bomb"), tmp_path, allow_private=True, limits=Limits(download_bytes=1_048_576))
    assert len(spooled(tmp_path)) == 1


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        (answer(b"gone", "404 Not Found"), "the server answered 404 Not Found"),
        (answer(b"", "500 Internal Server Error"), "the server answered 500"),
        (answer(b"", "304 Not Modified"), "the server answered 304"),
        (answer(b"", "302 Found"), "the server answered 302"),
        (answer(b"packed", Content_Encoding="br"), "came packed as br, which was not asked for"),
        (answer(b"not packed", Content_Encoding="gzip"), "came damaged; try again"),
        (answer(gzip.compress(b"a page" * 1_000)[:-20], Content_Encoding="gzip"), "broke off; try again"),
        (answer(b"half", Content_Length="10"), r"broke off \(.*\); try again"),
        (b"SSH-2.0-OpenSSH\r\n", r"cannot be reached \(.*\); check the URL"),
        (b"", r"cannot be reached \(.*\); check the URL"),
    ],
)
async def test_a_page_that_does_not_come_whole_is_one_line_of_error(
    site: Site, tmp_path: Path, page: bytes, complaint: str
) -> None:
    site.pages["/page"] = page
    with pytest.raises(FetchFailed, match=f"/page: {complaint}") as caught:
        await fetch(site.url("/page"), tmp_path, allow_private=True)
    assert "\n" not in str(caught.value)
    assert spooled(tmp_path) == []


async def test_an_endless_page_ends_at_the_limit(site: Site, tmp_path: Path) -> None:
    site.pages["/endless"] = answer(Content_Length="")
    site.endless["/endless"] = (b"x" * 65_536, 0)
    with pytest.raises(DocumentTooLarge, match="is over 1 MB"):
        await fetch(site.url("/endless"), tmp_path, allow_private=True, limits=Limits(download_bytes=1_048_576))


@pytest.mark.parametrize("path", ["/dripping", "/silent"])
async def test_a_slow_page_is_given_up_in_time(site: Site, tmp_path: Path, path: str) -> None:
    site.pages["/dripping"] = answer(Content_Length="")
    site.pages["/silent"] = b""
    site.endless["/dripping"] = (b"x", 0.02)
    site.endless["/silent"] = (b"", 0.02)
    limits = Limits(download_time=timedelta(seconds=0.3))
    with pytest.raises(FetchFailed, match=r"took over 0\.3 s; try again, or download it yourself"):
        await fetch(site.url(path), tmp_path, allow_private=True, limits=limits)
    site.endless.clear()
    assert spooled(tmp_path) == []


async def test_a_host_that_is_not_there_is_one_line_of_error(
    tmp_path: Path, resolve: Resolve, unused_port: int
) -> None:
    with pytest.raises(FetchFailed, match=r"nowhere\.invalid: no such host"):
        await fetch("http://nowhere.invalid/", tmp_path)
    with pytest.raises(FetchFailed, match=r"cannot be reached \(.*\); check the URL"):
        await fetch(f"http://127.0.0.1:{unused_port}/", tmp_path, allow_private=True)
    with pytest.raises(FetchFailed, match=r"no such host|is no URL"):
        await fetch("http://a..b/", tmp_path)


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def test_the_proxies_of_the_environment_are_not_used(
    site: Site, tmp_path: Path, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    site.pages["/"] = answer(b"direct")
    assert (await fetch(site.url("/"), tmp_path, allow_private=True)).size == 6


async def test_a_certificate_must_be_the_name_s_and_not_the_address_s(tmp_path: Path, resolve: Resolve) -> None:
    identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")  # it is for localhost and 127.0.0.1
    trust = ssl.create_default_context(cafile=TLS / "certificate.pem")
    async with serving(tls=identity) as site:
        site.pages["/"] = answer(b"kept secret")
        resolve({"localhost": [["127.0.0.1"]] * 2, "docs.example": [["127.0.0.1"]]})
        fetched = await fetch(site.url("/", "localhost", "https"), tmp_path, allow_private=True, verify=trust)
        assert fetched.size == 11
        with pytest.raises(FetchFailed, match=r"docs\.example:.*: cannot be reached .*[Cc]ertificate"):
            await fetch(site.url("/", "docs.example", "https"), tmp_path, allow_private=True, verify=trust)
        with pytest.raises(FetchFailed, match=r"cannot be reached .*[Cc]ertificate"):
            await fetch(site.url("/", "localhost", "https"), tmp_path, allow_private=True)
        assert len(site.requests) == 1


async def test_a_page_is_opened_as_what_the_server_says_it_is(site: Site, tmp_path: Path) -> None:
    site.pages["/moved"] = answer(status="301 Moved", Location="/notes.md")
    site.pages["/notes.md"] = answer(
        "# Größe\n".encode("latin-1"), Content_Type="text/plain; charset=latin-1", ETag='"7"'
    )
    source = Source("url", site.url("/moved"), site.url("/moved"))
    with await open_document(source, tmp_path / "spool", allow_private=True) as opened:
        assert (opened.title, opened.media, opened.encoding) == ("Größe", "text/markdown", "latin-1")
        assert (opened.url, opened.etag, opened.spooled) == (site.url("/notes.md"), '"7"', True)
        assert len(spooled(tmp_path / "spool")) == 1
    assert spooled(tmp_path / "spool") == []
    site.pages["/notes.md"] = answer(b" ", Content_Type="text/plain")
    with pytest.raises(EmptyDocument, match="/moved: is empty"):
        await open_document(source, tmp_path / "spool", allow_private=True)
    assert spooled(tmp_path / "spool") == []
    with pytest.raises(AddressRefused):
        await open_document(source, tmp_path / "spool")


@pytest.mark.skipif(find_spec("markitdown") is None, reason="the extra `docs` is not installed")
async def test_a_page_of_html_is_converted_whatever_its_name(site: Site, tmp_path: Path) -> None:
    page = "<title>Über Vögel</title><h1>Flocks</h1><p>Größe.</p>".encode("latin-1")
    site.pages["/notes.md"] = answer(page, Content_Type="text/html; charset=ISO-8859-1")
    source = Source("url", site.url("/notes.md"), "notes")
    with await open_document(source, tmp_path / "spool", allow_private=True) as opened:
        assert (opened.title, opened.media) == ("Über Vögel", "text/html")
        assert content(Path(opened.text_path)).decode().endswith("# Flocks\n\nGröße.")
    assert spooled(tmp_path / "spool") == []
