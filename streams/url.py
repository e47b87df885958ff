"""The address of a server, as people write it.

    redis://[user:password@]host[:port][/database]      one server; rediss:// with TLS
    unix:///path/to/server.sock[?db=1&password=…]       one server on this machine
    redis+cluster://[user:password@]host[:port],host…   a cluster, found through any of its nodes; rediss+cluster://
    redis+sentinel://[user:password@]host[:port],host…/service[/database]
                                                        the primary of a service that these sentinels watch

valkey:// means redis://, and so on. User and password are the servers'; those of the sentinels, where they have any,
are the parameters sentinel_username and sentinel_password. Special characters of a password are written as %-codes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from .errors import SettingsError

SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")
_SAME = {f"valkey{more}": f"redis{more}" for more in ("", "s", "+cluster", "s+cluster", "+sentinel", "s+sentinel")}
_PARAMETERS = {
    "db",
    "username",
    "password",
    "sentinel_username",
    "sentinel_password",
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_cert_reqs",
    "ssl_check_hostname",
}
"""What may follow the `?`. No more, because the rest of redis-py's would change what its replies look like."""
_FILES = {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"}
_SECRET = {"password", "sentinel_password", "ssl_password"}
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """One server or cluster. `hosts` is empty for a Unix socket, whose path is `path`."""

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    service: str = ""
    """What the sentinels at `hosts` watch; empty where there are none."""
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    shown: str = ""
    """The URL with its passwords taken out."""

    @property
    def is_cluster(self) -> bool:
        return self.scheme.endswith("+cluster")

    @property
    def is_watched(self) -> bool:
        """Whether the hosts are sentinels."""
        return self.scheme.endswith("+sentinel")

    @property
    def is_tls(self) -> bool:
        return self.scheme.startswith("rediss")

    @classmethod
    def of_socket(cls, path: str) -> str:
        """The URL of a Unix socket."""
        return f"unix://{quote(path)}"

    @classmethod
    def parse(cls, url: str) -> ServerUrl:
        """Raises SettingsError, without the password, if that is not an address Roost can use."""
        shown = redact(url)
        scheme, colon, rest = url.strip().partition("://")
        scheme = _SAME.get(scheme.lower(), scheme.lower())
        if not colon or scheme not in SCHEMES:
            raise SettingsError(f"{shown} is not a server's address: it must begin with {', '.join(_starts())}")
        if re.search(r"[\s\x00-\x1f]", rest):
            raise SettingsError(f"{shown} is not a server's address: it has spaces or control characters in it")
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            if parts.fragment or "@" in parts.query or (scheme != "unix" and "@" in parts.path):
                raise ValueError  # a `/`, `?` or `#` in the password
            parameters = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
            given = _read_parameters(parameters)
            hosts = () if scheme == "unix" else _read_hosts(parts.netloc, 26379 if "+sentinel" in scheme else 6379)
            place, service = parts.path.strip("/"), ""
            if scheme.endswith("+sentinel"):
                service, _, place = place.partition("/")
            db = given.pop("db", None)
            if scheme != "unix":
                db = _read_number(place or "0") if db is None else db
            sentinel = {name: given.pop(name, None) for name in ("sentinel_username", "sentinel_password")}
        except ValueError as error:
            # Without `from error`: a ValueError of the parser may quote a part of the password.
            raise SettingsError(f"{shown} is not a server's address: {_reason(error)}") from None
        username = given.pop("username", None) or unquote(parts.username or "") or None
        password = given.pop("password", None) or unquote(parts.password or "") or None
        path = unquote(parts.path) if scheme == "unix" else ""
        if scheme == "unix" and not path.startswith("/"):
            raise SettingsError(f"{shown} names no socket: write unix:///full/path/to/server.sock")
        if scheme.endswith("+sentinel") and not service:
            raise SettingsError(f"{shown} names no service: write {scheme}://host:26379/name, as the sentinels call it")
        if any(sentinel.values()) and not service:
            raise SettingsError(f"{shown} has a user or password for sentinels, but is not {scheme}+sentinel://")
        if len(hosts) > 1 and "+" not in scheme:
            raise SettingsError(f"{shown} names several hosts: write {scheme}+cluster:// if they are one cluster")
        if scheme.endswith("+cluster") and db:
            raise SettingsError(f"{shown} names database {db}, but a cluster has only database 0")
        names = {"service": unquote(service), **sentinel}
        return cls(scheme, hosts, path, int(db or 0), username, password, given, shown=shown, **names)


class _BadPart(ValueError):
    """A reason that quotes nothing secret."""


def redact(text: str) -> str:
    """The URL without its passwords; also one that cannot be parsed, where the password ends at the last `@`."""
    scheme, colon, rest = text.strip().partition("://")
    if not colon:
        return _HIDDEN if "@" in text else _printable(text)
    user, at, place = rest.rpartition("@")
    if any(f"{name}=" in user for name in _SECRET):
        return f"{_printable(scheme)}://{_HIDDEN}"  # an `@` in a password behind the question mark
    name, secret, _ = user.partition(":")
    place, question, query = place.partition("?")
    rest = (f"{name}:{_HIDDEN}@" if secret else f"{_HIDDEN}@" if at else "") + place
    if question:
        pairs = [(k, _HIDDEN if k in _SECRET else v) for k, v in parse_qsl(query, keep_blank_values=True)]
        query = urlencode(pairs, safe="*/:")
    return _printable(f"{scheme}://{rest}{question}{query}")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _starts() -> list[str]:
    return [f"{scheme}://" for scheme in SCHEMES]


def _reason(error: ValueError) -> str:
    if isinstance(error, _BadPart):
        return str(error)
    return "its parts cannot be told apart; write %-codes for the special characters of the password"


def _read_hosts(netloc: str, default: int) -> tuple[tuple[str, int], ...]:
    hosts: list[tuple[str, int]] = []
    for place in netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"redis://{place}")
        port = one.port  # raises ValueError
        if one.hostname or not hosts:
            hosts.append((one.hostname or "localhost", default if port is None else port))
    return tuple(hosts)


def _read_number(text: str) -> int:
    if not text.isdecimal():
        raise _BadPart("its database must be a number")
    return int(text)


def _read_parameters(parameters: dict[str, str]) -> dict[str, Any]:
    unknown = sorted(parameters.keys() - _PARAMETERS)
    if unknown:
        raise _BadPart(f"it has the unknown parameter {unknown[0]!r}; known are {', '.join(sorted(_PARAMETERS))}")
    given: dict[str, Any] = dict(parameters)
    if "db" in given:
        given["db"] = _read_number(parameters["db"])
    if "ssl_check_hostname" in given:
        given["ssl_check_hostname"] = parameters["ssl_check_hostname"].lower() not in ("0", "no", "false", "f", "n")
    if given.get("ssl_cert_reqs", "required") not in ("required", "optional", "none"):
        raise _BadPart("ssl_cert_reqs must be required, optional or none")
    for name in sorted(_FILES & given.keys()):
        if not Path(parameters[name]).exists():  # redis-py would tell of a missing file without its name
            raise _BadPart(f"{name} is no file: {parameters[name]}")
    return given
