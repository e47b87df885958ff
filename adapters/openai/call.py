"""A request that can be shared: where it goes, its key, and what speaks against sharing it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

import httpx2
import orjson

from roost.actors import fingerprint

from .endpoint import Endpoint
from .rules import reason_against

VERSION = 1
"""Raised when what goes into a key changes."""

OFFICIAL_HOST = "api.openai.com"

NOT_IN_KEY = frozenset({
    "authorization", "proxy-authorization", "api-key", "x-api-key", "cookie",
    "accept", "accept-encoding", "accept-language", "connection", "content-length", "content-type", "host",
    "transfer-encoding", "user-agent", "idempotency-key",
    "traceparent", "tracestate", "baggage", "x-request-id", "x-client-request-id", "x-correlation-id",
})  # fmt: skip
"""Headers that cannot change an answer: who asks, and how it is sent. Every other header is part of the key."""

NOT_IN_KEY_PREFIXES = ("x-stainless-", "sentry-", "x-datadog-", "x-b3-")


@dataclass(frozen=True, slots=True)
class Call:
    """`body` is the request's JSON; `against` says why the request is not shared by default."""

    endpoint: Endpoint
    key: str
    body: dict[str, Any]
    against: str | None
    official: bool

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def label(self) -> str:
        """The model's name, as everywhere in Roost."""
        return f"openai/{self.model}"

    @property
    def title(self) -> str:
        """For people who look on. No word of the request: what is in the log stays, even if the note is forgotten."""
        return f"{self.model} ({self.endpoint})"

    @classmethod
    def read(cls, request: httpx2.Request, sample: int) -> Call | None:
        """None for a request that has no answer to share."""
        endpoint = Endpoint.of(request.method, request.url.path)
        if endpoint is None:
            return None
        try:
            raw = request.content
            body: object = orjson.loads(raw)
        except (httpx2.RequestNotRead, orjson.JSONDecodeError):
            return None
        if not isinstance(body, dict):
            return None
        found = cast("dict[str, Any]", body)
        key = _key(endpoint, request, raw, found, sample)
        against = reason_against(endpoint, found)
        return cls(endpoint, key, found, against, request.url.host == OFFICIAL_HOST)


def _key(endpoint: Endpoint, request: httpx2.Request, raw: bytes, body: dict[str, Any], sample: int) -> str:
    """All that may change the answer. The body goes in byte for byte: even the order of a schema's members matters."""
    url = request.url
    headers = sorted((name, value) for name, value in request.headers.multi_items() if _counts(name))
    parts: list[object] = [
        VERSION, url.scheme, url.host, url.port, url.raw_path.decode("ascii", "replace"), sha256(raw).hexdigest(),
        headers, sample,
    ]  # fmt: skip
    if endpoint is Endpoint.RESPONSES and body.get("store") is not False:
        # The provider stores this answer for the project that the API key belongs to: only there can it be followed up.
        parts.append(sha256(request.headers.get("authorization", "").encode()).hexdigest())
    return f"openai/{endpoint}/{fingerprint(*parts)}"


def _counts(name: str) -> bool:
    lower = name.lower()
    return lower not in NOT_IN_KEY and not lower.startswith(NOT_IN_KEY_PREFIXES)
