"""The gate: who comes in. All that is served goes through it: pages, files, uploads, and the connection of a page."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Collection, Mapping
from hashlib import sha256
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .tokens import Tokens

ASK = "/_roost/token"
"""Where the form of somebody without a token goes."""
OPEN = {"/_stcore/health", "/_stcore/script-health-check"}
"""For who only wants to know whether the page is up: they tell nothing of the flock."""
MAX_FORM = 4_096
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'wasm-unsafe-eval' blob: {own}", "worker-src 'self' blob:",
    "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:", "font-src 'self' data:",
    "connect-src 'self' data: blob:", "media-src 'self' blob:", "object-src 'none'", "base-uri 'self'",
    "form-action 'self'", "frame-ancestors 'none'",
))  # fmt: skip
"""Nothing is loaded from, and nothing told to, another host, whatever a note holds."""
INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
FORM = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Roost</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:16vh auto;padding:0 1rem}}
input,button{{font:inherit;padding:.4rem .6rem}}input{{width:100%;box-sizing:border-box;margin:.2rem 0 .8rem}}</style>
<h1>Roost</h1><p role="alert">{why}</p><p>Open the link that <code>roost dash</code> has printed, or enter its
token.</p><form method="post" action="{action}"><label>Token<input name="token" type="password" autocomplete="off"
autofocus required></label><input type="hidden" name="to" value="{to}"><button>Look</button></form></html>"""


class Gate:
    """Lets in who may look. `hosts` are the names under which the page may be asked for; None: any.

    `pages` are the names of those that stand beside the first; `frame` is the HTML around all of them.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        hosts: frozenset[str] | None,
        cookie: str,
        pages: Collection[str],
        frame: str,
    ) -> None:
        self._app, self._tokens, self._hosts, self._cookie = app, tokens, hosts, cookie
        self._pages = {f"/{page}": page for page in pages}
        self._headers = HEADERS | {"Content-Security-Policy": policy_for(frame)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if refusal is None and self._right(headers) != "none":
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})  # before it is accepted: the browser gets a 403
            return
        answer = refusal or await self._answer(scope, receive, headers)
        if answer is None:
            await self._app(scope, receive, self._with_headers(send))
        else:
            await answer(scope, receive, self._with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """For pages of other origins, and for names that lead here and should not: DNS rebinding."""
        host = headers.get("host", "")
        if self._hosts is not None and _name_in(f"//{host}").rstrip(".") not in self._hosts:
            return PlainTextResponse("The page is not served under that name.\n", 400)
        origin = headers.get("origin")
        asks = scope["type"] == "websocket" or scope["method"] in CHANGING
        if asks and origin is not None and origin.partition("://")[2] != host:
            return PlainTextResponse("The page of another origin asked.\n", 403)
        return None

    async def _answer(self, scope: Scope, receive: Receive, headers: Headers) -> Response | None:
        """None: who asks may come in."""
        path: str = scope["path"]
        if path == ASK and scope["method"] == "POST":
            return await self._take_form(Request(scope, receive))
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        shown = [value for name, value in query if name == "token"]
        to = path + (f"?{urlencode(rest)}" if (rest := [each for each in query if each[0] != "token"]) else "")
        if shown and scope["method"] == "GET":
            return self._admit(shown[-1], to, headers)
        right = self._right(headers)
        if path not in OPEN and right == "none":
            return self._ask(to, "This page is shown to who has its token.")
        if scope["method"] in CHANGING and right != "write":  # an upload, which would fill this process's memory
            return PlainTextResponse("Files are taken from who has shown the write token.\n", 403)
        if scope["method"] != "GET":
            return None
        if path in self._pages:  # at any other address Streamlit first tries paths that fail
            return RedirectResponse(f"/?{urlencode([('page', self._pages[path]), *query])}", 303)
        if path != "/" and "text/html" in headers.get("accept", "") and not _is_file(path):
            return RedirectResponse("/", 303)  # from anywhere else, the page would not find its own scripts
        return None

    async def _take_form(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_FORM:
                return PlainTextResponse("That is no token.\n", 413)
        form = dict(parse_qsl(body.decode("latin-1")))
        return self._admit(form.get("token", ""), form.get("to", "/"), request.headers)

    def _admit(self, token: str, to: str, headers: Mapping[str, str]) -> Response:
        """Keep the token in a cookie, so that it stands in no address any longer than it must."""
        here = to if to.startswith("/") and not to.startswith("//") and "\\" not in to else "/"
        if self._tokens.right_of(token) != "write" and (
            self._tokens.read is None or self._tokens.right_of(token) == "none"
        ):
            return self._ask(here, "That token is not, or no longer, this page's.")
        answer = RedirectResponse(here, 303)
        secure = headers.get("x-forwarded-proto") == "https"
        answer.set_cookie(self._cookie, quote(token, safe=""), httponly=True, samesite="lax", secure=secure)
        return answer

    def _ask(self, to: str, why: str) -> Response:
        page = FORM.format(why=escape(why), action=ASK, to=escape(to, quote=True))
        return HTMLResponse(page, 401, {"Cache-Control": "no-store"})

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        return sending

    def _right(self, headers: Headers) -> str:
        return self._tokens.right_of(cookie_in(headers.get("cookie", ""), self._cookie))


def cookie_in(header: str, name: str) -> str | None:
    """A cookie that a browser has sent."""
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return None if morsel is None else unquote(morsel.value)


def _name_in(address: str) -> str:
    """The name of a host in an address; empty where there is none, or the address is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_file(path: str) -> bool:
    """Whether Streamlit may have something of its own there that is opened by itself, such as a download."""
    return path.startswith(("/_stcore/", "/media/", "/static/", "/component/")) or "." in path.rpartition("/")[2]


def policy_for(frame: str) -> str:
    """The policy for pages in that frame: of scripts that stand in a page, only its own may run."""
    own = [b64encode(sha256(script.encode()).digest()).decode() for script in INLINE.findall(frame)]
    return POLICY.format(own=" ".join(f"'sha256-{digest}'" for digest in own))


_served: list[tuple[Tokens, str]] = []


def serve_with(tokens: Tokens, cookie: str) -> None:
    """From now on pages ask these whether a browser may change things."""
    _served[:] = [(tokens, cookie)]


def may_write() -> bool:
    """Whether the browser of this session has shown the token with which things may be changed."""
    if not _served:
        return False
    tokens, cookie = _served[0]
    shown = st.context.cookies.get(cookie)
    return tokens.right_of(None if shown is None else unquote(shown)) == "write"
