"""The official client's own options, by their names: a test holds them to the installed client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypedDict

import httpx2
from openai import DataResidency, NotGiven, Timeout
from openai._provider import _Provider  # pyright: ignore[reportPrivateUsage]  # the official annotation has no other name
from openai.auth import WorkloadIdentity, X509WorkloadIdentity


class _Shared(TypedDict, total=False):
    api_key: str | Callable[[], Awaitable[str]] | None
    admin_api_key: str | None
    workload_identity: WorkloadIdentity | X509WorkloadIdentity | None
    organization: str | None
    project: str | None
    webhook_secret: str | None
    base_url: str | httpx2.URL | NotGiven | None
    data_residency: DataResidency | None
    websocket_base_url: str | httpx2.URL | None
    timeout: float | Timeout | NotGiven | None
    default_headers: Mapping[str, str] | None
    default_query: Mapping[str, object] | None
    http_client: httpx2.AsyncClient | None


class ClientOptions(_Shared, total=False):
    """What the constructor takes."""

    provider: _Provider | None
    max_retries: int
    _strict_response_validation: bool
    _enforce_credentials: bool


class CopyOptions(_Shared, total=False):
    """What `copy` and `with_options` take."""

    provider: _Provider | NotGiven | None
    max_retries: int | NotGiven
    set_default_headers: Mapping[str, str] | None
    set_default_query: Mapping[str, object] | None
    _enforce_credentials: bool | None
    _extra_kwargs: Mapping[str, Any]
