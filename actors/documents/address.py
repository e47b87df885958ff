"""Which URLs and which addresses may be read: those of the public network only, unless private ones are allowed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx2

from .errors import AddressRefused, FetchFailed

Address = IPv4Address | IPv6Address

_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_LONGEST = 4_096


def is_public(address: Address) -> bool:
    """Whether an address is of the public network, and so is the one that it stands for, if it stands for another."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.scope_id or address.sixtofour or address.teredo or any(address in net for net in _TRANSLATED):
            return False  # roads to an IPv4 address that nobody checks
        if int(address) >> 32 == 0 or address.is_site_local:
            return False
    refused = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    return address.is_global and not (refused or address.is_reserved or address.is_unspecified)


def check_url(url: str, *, allow_private: bool) -> str:
    """The URL in its normal form. Raises for one that is not http(s), or that plainly names a private address."""
    if len(url) > _LONGEST:
        raise FetchFailed(f"a URL of {len(url):,} characters is too long")
    try:
        parsed = httpx2.URL(url).copy_with(fragment=None)
    except (httpx2.InvalidURL, ValueError) as error:
        raise FetchFailed(f"{url}: is no URL ({error})") from None
    if parsed.scheme not in ("http", "https"):
        raise FetchFailed(f"{url}: only http and https URLs are read")
    if parsed.userinfo:
        raise FetchFailed(f"{parsed.host}: a URL with a user name or password is not read; take them out of it")
    if not parsed.host:
        raise FetchFailed(f"{url}: names no host")
    if not allow_private:
        _refuse_literal(parsed.host)
    return str(parsed)


def _refuse_literal(host: str) -> None:
    name = host.lower().rstrip(".")
    try:
        private = not is_public(ip_address(name.strip("[]")))
    except ValueError:
        private = name in _LOCAL_NAMES or name.endswith(".localhost")
    if private:
        raise AddressRefused(refusal(host, host))


def refusal(host: str, address: str) -> str:
    leads = "is" if host == address else f"leads to {address},"
    return f"{host}: {leads} not a public address, and is not read; allow private addresses if you mean it"
