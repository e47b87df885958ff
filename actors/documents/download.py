"""Fetching a URL into a spool, from the address that was checked and from no other."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from email.message import Message
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from pathlib import Path
from socket import SOCK_STREAM, gaierror

import httpx2

from .address import check_url, may_reach, refusal
from .errors import AddressRefused, FetchFailed
from .freshness import LONGEST, Freshness
from .limits import Limits
from .spool import Spool, SpoolWriter, in_megabytes, path_of

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_READ_BYTES = 64 * 1024
_ADDRESSES = 4
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A download: its spool, where it came from in the end, and what the server said of it (empty where it did not)."""

    path: Path
    url: str
    size: int
    media: str
    charset: str
    etag: str
    last_modified: str
    freshness: Freshness = field(default_factory=Freshness)


@dataclass(frozen=True, slots=True)
class Known:
    """An earlier download, by which a server can tell whether there is anything new."""

    url: str
    etag: str
    last_modified: str

    def conditions(self, url: str) -> dict[str, str]:
        """The headers that ask for news only; none for another URL than this came from."""
        told = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified} if url == self.url else {}
        return {name: value for name, value in told.items() if value.isascii() and value}  # others cannot be sent


@dataclass(frozen=True, slots=True)
class NotModified:
    """What is known is still so."""

    url: str
    etag: str
    last_modified: str
    freshness: Freshness


async def fetch(
    url: str,
    directory: Path,
    *,
    allow_private: bool = False,
    limits: Limits | None = None,
    verify: ssl.SSLContext | None = None,
) -> Fetched:
    """Download `url` into a new file in `directory`.

    Each host on the way is resolved here, all its addresses must be public (unless `allow_private`), and the connection
    goes to an address that was checked, so that a name which changes its mind leads nowhere. The environment's proxies
    are not used; `verify` replaces the certificates that are trusted. Raises FetchFailed, AddressRefused, or
    DocumentTooLarge.
    """
    fetched = await fetch_if_changed(url, directory, None, allow_private=allow_private, limits=limits, verify=verify)
    assert isinstance(fetched, Fetched)
    return fetched


async def fetch_if_changed(
    url: str,
    directory: Path,
    known: Known | None,
    *,
    allow_private: bool = False,
    limits: Limits | None = None,
    verify: ssl.SSLContext | None = None,
) -> Fetched | NotModified:
    """As `fetch`; NotModified when the server says that what is `known` is still so."""
    limits = limits or Limits()
    spool = Spool(directory)
    try:
        async with asyncio.timeout(limits.download_time.total_seconds()):
            fetched = await _follow(url, spool, allow_private, limits, verify, known)
            if isinstance(fetched, Fetched):
                spool.keep(fetched.path)
            return fetched
    except TimeoutError:
        seconds = limits.download_time.total_seconds()
        raise FetchFailed(f"{url}: took over {seconds:g} s; try again, or download it yourself") from None
    finally:
        spool.discard()


async def _follow(
    url: str, spool: Spool, allow_private: bool, limits: Limits, verify: ssl.SSLContext | None, known: Known | None
) -> Fetched | NotModified:
    """Go from redirect to redirect, each checked like the first."""
    here, via = url, Freshness(lasts=LONGEST)
    for _ in range(limits.redirects + 1):
        here = check_url(here, allow_private=allow_private)
        target = httpx2.URL(here)
        addresses = await _resolve(target, allow_private)
        trusted = verify or httpx2.create_ssl_context(verify=target.scheme == "https")
        # a transport for each hop: a kept connection would be taken for another host at the same address
        async with httpx2.AsyncHTTPTransport(verify=trusted, trust_env=False) as transport:
            conditions = {} if known is None else known.conditions(here)
            response = await _request(transport, target, addresses, limits, conditions)
            try:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    via = Freshness.of(response.headers).through(via)
                    here = str(target.join(response.headers["location"]))
                    continue
                if response.status_code == 304 and conditions:
                    return NotModified(here, *_validators(response), Freshness.of(response.headers).through(via))
                saved = await _save(response, here, spool, limits)
                return replace(saved, freshness=saved.freshness.through(via))
            except httpx2.HTTPError as error:
                raise FetchFailed(f"{here}: broke off ({_words(error)}); try again") from None
            except httpx2.InvalidURL as error:
                raise FetchFailed(f"{here}: redirects to what is no URL ({error})") from None
            finally:
                await response.aclose()
    raise FetchFailed(f"{url}: redirects over {limits.redirects} times; name the page it should lead to")


async def _resolve(url: httpx2.URL, allow_private: bool) -> list[str]:
    """The addresses of the URL's host. All are refused when one is not public."""
    port = url.port or _DEFAULT_PORTS[url.scheme]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.raw_host.decode("ascii"), port, type=SOCK_STREAM)
    except (gaierror, UnicodeError) as error:
        words = error.strerror if isinstance(error, gaierror) else str(error)
        raise FetchFailed(f"{url.host}: no such host ({(words or '').lower()}); check the URL") from None
    addresses = list(dict.fromkeys(str(place[4][0]) for place in found))
    for address in addresses:
        if not may_reach(ip_address(address), allow_private=allow_private):
            raise AddressRefused(refusal(url.host, address))
    return addresses[:_ADDRESSES]


async def _request(
    transport: httpx2.AsyncHTTPTransport, url: httpx2.URL, addresses: list[str], limits: Limits,
    conditions: dict[str, str],
) -> httpx2.Response:  # fmt: skip
    """Ask at the first address that answers."""
    for address in addresses[:-1]:
        with contextlib.suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
            return await transport.handle_async_request(_request_at(address, url, limits, conditions))
    try:
        return await transport.handle_async_request(_request_at(addresses[-1], url, limits, conditions))
    except httpx2.ConnectTimeout:
        seconds = limits.connect_time.total_seconds()
        raise FetchFailed(f"{url}: no connection within {seconds:g} s; try again") from None
    except httpx2.HTTPError as error:
        raise FetchFailed(f"{url}: cannot be reached ({_words(error)}); check the URL") from None


def _request_at(address: str, url: httpx2.URL, limits: Limits, conditions: dict[str, str]) -> httpx2.Request:
    total = limits.download_time.total_seconds()
    return httpx2.Request(
        "GET",
        url.copy_with(host=address),
        headers={
            "Host": url.netloc.decode("ascii"),
            "User-Agent": f"roost/{_version()}",
            "Accept": "text/markdown, text/html;q=0.9, application/pdf;q=0.9, text/*;q=0.8, */*;q=0.5",
            "Accept-Encoding": "gzip",  # the only one that is unpacked here, in bounded steps
            **conditions,
        },
        extensions={
            "sni_hostname": url.raw_host.decode("ascii"),  # the certificate must be the name's, not the address's
            "timeout": {
                "connect": limits.connect_time.total_seconds(),
                "read": total,
                "write": total,
                "pool": total,
            },
        },
    )


async def _save(response: httpx2.Response, url: str, spool: Spool, limits: Limits) -> Fetched:
    if not 200 <= response.status_code < 300:
        raise FetchFailed(f"{url}: the server answered {response.status_code} {response.reason_phrase}".rstrip())
    complaint = f"{url}: is over {in_megabytes(limits.download_bytes)}; download it yourself and name the file"
    with spool.file() as file:
        writer = SpoolWriter(file, limits.download_bytes, complaint)
        async for part in _unpacked(response, url):
            writer.write(part)
    kind = Message()
    kind["content-type"] = response.headers.get("content-type", "")
    etag, last_modified = _validators(response)
    return Fetched(
        path=path_of(file),
        url=url,
        size=writer.size,
        media=kind.get_content_type() if response.headers.get("content-type") else "",
        charset=str(kind.get_content_charset() or ""),
        etag=etag,
        last_modified=last_modified,
        freshness=Freshness.of(response.headers),
    )


def _validators(response: httpx2.Response) -> tuple[str, str]:
    return response.headers.get("etag", ""), response.headers.get("last-modified", "")


async def _unpacked(response: httpx2.Response, url: str) -> AsyncIterator[bytes]:
    """The body in small parts, however well it was packed."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        async for raw in response.aiter_raw(_READ_BYTES):
            yield raw
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise FetchFailed(f"{url}: came packed as {encoding}, which was not asked for; download it yourself")
    unpacker = zlib.decompressobj(wbits=47)  # 47: gzip or zlib, by its head
    try:
        async for raw in response.aiter_raw(_READ_BYTES):
            left = raw
            while left and not unpacker.eof:
                yield unpacker.decompress(left, _READ_BYTES)
                left = unpacker.unconsumed_tail
    except zlib.error:
        raise FetchFailed(f"{url}: came damaged; try again") from None
    if not unpacker.eof:
        raise FetchFailed(f"{url}: broke off; try again")


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _version() -> str:
    try:
        return version("roost")
    except PackageNotFoundError:
        return "0"
