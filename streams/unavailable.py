"""Turns what redis-py raises when a server cannot be used into a line that says what is wrong and what to do."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import Iterator

from redis import exceptions as redis

from .errors import AccessRefused, ServerUnavailable

CLOSES = "closes the connection at once; check host and port, and use rediss:// if it wants TLS"
CERTIFICATE = (
    "; if it asks for a certificate, name one that it trusts and that has not expired: "
    "?ssl_certfile=/path/to/cert.pem&ssl_keyfile=/path/to/key.pem"
)
SILENT = "does not answer in time; check the address, the network and the server's load"
_CERTIFICATE_REFUSED = re.compile("ALERT.*CERT|ALERT_UNKNOWN_CA")
FAILURES = (redis.RedisError, redis.RedisClusterException, OSError, asyncio.TimeoutError)
"""What a client raises when its server cannot be used."""


def explain(error: BaseException, shown_url: str) -> ServerUnavailable:
    """`shown_url` must hold no password."""
    causes = list(_causes(error))
    denied = next((cause for cause in causes if isinstance(cause, redis.NoPermissionError)), None)
    if denied is not None:
        return AccessRefused(str(denied))
    sentence = _explain_refusal(causes) or _explain_network(causes) or _explain_strangeness(causes)
    if shown_url.startswith("rediss") and sentence == SILENT:
        sentence += "; if it does not use TLS, write redis:// without the second s"
    if shown_url.startswith("rediss") and sentence == CLOSES:
        sentence += CERTIFICATE
    if sentence is None:
        first = " ".join(str(error).split())[:200]
        sentence = f"cannot be used: {first or type(error).__name__}"
    return ServerUnavailable(f"{shown_url} {sentence}")


def is_loading(error: BaseException) -> bool:
    """Whether it comes from a server that still loads its data; redis-py hides that in another error at times."""
    return any(isinstance(cause, redis.BusyLoadingError) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, then what it came from: redis-py wraps the socket's errors, at times twice, at times in `args`."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        one = pending.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        pending += [argument for argument in one.args if isinstance(argument, BaseException)]
        pending += [one.__cause__, one.__context__]


def _explain_refusal(causes: list[BaseException]) -> str | None:
    """The server answered, and refuses."""
    text = " ".join(str(cause) for cause in causes)
    refusals = {
        "authentication required": "asks for a password; put one into the URL: redis://user:password@host:port",
        "without any password configured": "has no password set, but the URL has one; leave it out of the URL",
        "protected mode": "is in protected mode and takes connections from its own machine only; give it a password",
        "max number of clients": "has all its connections in use; raise its maxclients or stop some clients",
        "loading the dataset": "is still loading its data; try again in a moment",
        "DB index is out of range": "does not have that database; use number 0",
        "luster mode is not enabled": "is not a cluster; write redis:// instead of redis+cluster://",
        "luster support disabled": "is not a cluster; write redis:// instead of redis+cluster://",
        "no sentinel to ask": "are no sentinels; for a single server write redis://host:port",
        "no such service": "are sentinels that watch no service of that name; check it in the URL",
        "no primary of the service": "are sentinels that see no primary alive; start it, or wait for the failover",
        "MISCONF": "cannot write to its disk and refuses writes; make room there and look into its log",
    }
    for sign, sentence in refusals.items():
        if sign.lower() in text.lower():
            return sentence
    if any(isinstance(cause, redis.AuthenticationError) for cause in causes):
        return "refuses the user name or password; check them in the URL (special characters as %-codes)"
    return None


def _explain_network(causes: list[BaseException]) -> str | None:
    """The server, or its name, was not reached."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"shows a certificate that cannot be trusted ({cause.verify_message}); "
                "name its authority with ?ssl_ca_certs=/path/to/ca.pem"
            )
        if isinstance(cause, ssl.SSLError) and _CERTIFICATE_REFUSED.search(cause.reason or ""):
            return _explain_certificate(cause.reason or "")
        if isinstance(cause, ssl.SSLError):
            return f"does not speak TLS as expected ({cause.reason or cause}); is it redis:// without the second s?"
        if isinstance(cause, socket.gaierror):
            return "has a host name that cannot be found; check its spelling"
        if isinstance(cause, ConnectionRefusedError):
            return "refuses connections; is the server running there? Start it, or unset ROOST_URL to use Roost's own"
        if isinstance(cause, FileNotFoundError) and cause.filename is None:
            return "is not there; start the server that owns this socket, or unset ROOST_URL to use Roost's own"
        if isinstance(cause, PermissionError):
            return "may not be opened by this user; check the rights of the socket"
        if isinstance(cause, OSError) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return "cannot be reached from this machine; check the address and the network"
        if isinstance(cause, asyncio.TimeoutError | redis.TimeoutError):
            return SILENT
    return None


def _explain_certificate(reason: str) -> str:
    """What the server says of the certificate that it was, or was not, shown."""
    return f"does not accept the certificate that it is shown ({reason.lower().replace('_', ' ')}){CERTIFICATE}"


def _explain_strangeness(causes: list[BaseException]) -> str | None:
    """Something answered, but not the way a Redis server does."""
    text = " ".join(str(cause) for cause in causes)
    strange = "does not answer like a Redis or Valkey server; check host and port, and use rediss:// if it wants TLS"
    if any(isinstance(cause, redis.InvalidResponse) for cause in causes) or "Protocol error" in text:
        return strange
    if "unknown command" in text:
        return strange
    if "Connection closed by server" in text or any(isinstance(cause, ConnectionResetError) for cause in causes):
        return CLOSES
    return None
