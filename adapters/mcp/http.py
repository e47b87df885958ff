"""Serving many clients over streamable HTTP: behind a token, and for no page of a foreign site."""

from __future__ import annotations

import contextlib
import hmac
import socket
from collections.abc import Generator, Sequence

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from roost.streams import SettingsError

from .identity import SESSION_HEADER
from .seats import MAX_SEATS, Seats
from .surface import Surface

PATH = "/mcp"
WILDCARDS = ("0.0.0.0", "::", "[::]")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MAX_BODY = 8 * 1024 * 1024
GRACE_S = 2
REFUSED = b'{"error":"invalid_token","error_description":"send the header Authorization: Bearer TOKEN"}'


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any free one. Raises SettingsError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise SettingsError(f"cannot listen on {host} port {port} ({why}): choose another --host or --port") from error


def names_of(host: str) -> list[str]:
    """How clients may call this machine when it listens there: for all its addresses, by its own name and by each."""
    if host not in WILDCARDS:
        return [_bracketed(host)]
    own = socket.gethostname()
    try:
        found = {str(address[0]) for *_, address in socket.getaddrinfo(own, None)}
    except OSError:  # it does not know itself by that name
        found = set[str]()
    return [own, *map(_bracketed, sorted(found))]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


class HttpServer(uvicorn.Server):
    """`token` is what clients must show; `names` are names of this machine by which clients may call it."""

    def __init__(self, surface: Surface, token: str, *, names: Sequence[str] = ()) -> None:
        hosts = [*LOOPBACK, *names]
        security = TransportSecuritySettings(
            allowed_hosts=[*hosts, *[f"{host}:*" for host in hosts]],
            allowed_origins=[
                f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in hosts for port in ("", ":*")
            ],
        )
        app = surface.server.streamable_http_app(
            streamable_http_path=PATH, transport_security=security, max_sessions=MAX_SEATS,
            max_request_body_size=MAX_BODY,
        )  # fmt: skip
        config = uvicorn.Config(
            Door(Presence(app, surface.seats), token), log_config=None, access_log=False, lifespan="on",
            timeout_graceful_shutdown=GRACE_S, server_header=False, ws="none",
        )  # fmt: skip
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are the command's: it has claims to give back before it ends."""
        yield


class Door:
    """Lets nobody in without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._has_token(scope):
            headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": REFUSED})
            return
        await self._app(scope, receive, send)

    def _has_token(self, scope: Scope) -> bool:
        shown = _header(scope, "authorization")
        kind, _, token = shown.partition(b" ")
        return kind.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)


class Presence:
    """Tells the seats which sessions have a request open, and which have been ended."""

    def __init__(self, app: ASGIApp, seats: Seats) -> None:
        self._app = app
        self._seats = seats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = _header(scope, SESSION_HEADER).decode("latin-1") if scope["type"] == "http" else ""
        if not session:
            await self._app(scope, receive, send)
            return
        answered = False

        async def watch(message: Message) -> None:
            nonlocal answered
            answered = answered or (message["type"] == "http.response.start" and message["status"] == 200)
            await send(message)

        self._seats.arrive(session)
        try:
            await self._app(scope, receive, watch)
        finally:
            self._seats.depart(session, was_stream=scope["method"] == "GET" and answered)
        if scope["method"] == "DELETE" and answered:
            await self._seats.leave(session)


def _header(scope: Scope, name: str) -> bytes:
    return next((value for key, value in scope["headers"] if key == name.encode()), b"")
