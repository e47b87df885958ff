"""Which URLs and which addresses may be read: those of the public network only, unless private ones are allowed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx2

from .errors import AddressRefused, FetchFailed

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
# where clouds hand out credentials; most of them are link-local anyway
_METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_LONGEST = 4_096


def may_reach(address: Address, *, allow_private: bool) -> bool:
    """Whether to read from an address: a public one, or if allowed one of a private network or this machine.

    An address that stands for another is judged by that. Link-local, cloud metadata, multicast and reserved addresses
    are never read from.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or (IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None)
        if inner is not None:
            return may_reach(inner, allow_private=allow_private)
        if address.sixtofour or address.teredo or address.scope_id:
            return False  # roads to an address that nobody checks
        if int(address) >> 32 == 0 and not address.is_loopback:
            return False
        if address.is_site_local or address in _NAT64_LOCAL:
            return allow_private
    if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if address.is_loopback or address.is_private or not address.is_global:
        return allow_private and not (isinstance(address, IPv4Address) and address.is_reserved)
    return not address.is_reserved


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
    if parsed.port is not None and not 0 < parsed.port < 65_536:
        raise FetchFailed(f"{url}: {parsed.port} is no port")
    if not parsed.host:
        raise FetchFailed(f"{url}: names no host")
    _refuse_literal(parsed.host, allow_private)
    return str(parsed)


def _refuse_literal(host: str, allow_private: bool) -> None:
    name = host.lower().rstrip(".")
    try:
        refused = not may_reach(ip_address(name.strip("[]")), allow_private=allow_private)
    except ValueError:
        refused = not allow_private and (name in _LOCAL_NAMES or name.endswith(".localhost"))
    if refused:
        raise AddressRefused(refusal(host, host))


def refusal(host: str, address: str) -> str:
    leads = "is" if host == address else f"leads to {address},"
    return (
        f"{host}: {leads} not a public address; private ones are read only when that is allowed, link-local ones never"
    )
