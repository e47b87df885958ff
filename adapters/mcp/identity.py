"""Who a client is: the name under which it acts, and what tells it from others in the same process."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from mcp.server.context import ServerRequestContext
from starlette.requests import Request

AGENT_HEADER = "roost-agent"
RUN_HEADER = "roost-run"
SESSION_HEADER = "mcp-session-id"
MAX_NAME = 64
STDIO = "stdio"
SESSION = "session "


@dataclass(frozen=True, slots=True)
class Identity:
    """`seat` is the client within this process. `name` is its own; a chosen one is used as it is."""

    seat: str
    name: str
    chosen: bool
    run: str | None

    @property
    def agent(self) -> str:
        """The name with a few random digits, unless it was chosen: two editors on one machine call themselves alike."""
        return self.name if self.chosen else f"{self.name}-{secrets.token_hex(2)}"


def identify(ctx: ServerRequestContext[Any, Any], agent: str | None, run: str | None) -> Identity:
    """Over HTTP a client may say in headers who it is; `agent` and `run` are what the command was told.

    Clients of the newest protocol have no session: they are told apart by their names.
    """
    request: Request | None = ctx.request
    said = _clean(request.headers.get(AGENT_HEADER)) if request is not None else None
    name = said or agent or _own_name(ctx) or "client"
    chosen = bool(said or agent)
    if request is None:
        return Identity(STDIO, name, chosen, run)
    session = request.headers.get(SESSION_HEADER)
    seat = seat_of_session(session) if session else f"name {name}"
    return Identity(seat, name, chosen, _clean(request.headers.get(RUN_HEADER)) or run)


def seat_of_session(session: str) -> str:
    return f"{SESSION}{session}"


def is_session(seat: str) -> bool:
    return seat.startswith(SESSION)


def _own_name(ctx: ServerRequestContext[Any, Any]) -> str | None:
    params = ctx.session.client_params
    return _clean(params.client_info.name) if params is not None else None


def _clean(name: str | None) -> str | None:
    """One printable word of at most 64 characters; None when nothing is left."""
    shown = "".join(c if c.isprintable() else " " for c in name or "")
    return "-".join(shown.split())[:MAX_NAME] or None
