"""The client of OpenAI's own library with a shared memory: `from roost.openai import AsyncOpenAI`, all else as it was.

The names that programs import beside the client are here as well, and are the official library's own.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from openai import (
    NOT_GIVEN,
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncStream,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentFilterFinishReasonError,
    DefaultAsyncHttpxClient,
    InternalServerError,
    LengthFinishReasonError,
    NotFoundError,
    NotGiven,
    OpenAIError,
    PermissionDeniedError,
    RateLimitError,
    Timeout,
    UnprocessableEntityError,
    not_given,
    omit,
    pydantic_function_tool,
)

from roost.adapters.openai import AsyncOpenAI, Reuse, reuse_of

AsyncClient = AsyncOpenAI

__all__ = [
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncClient",
    "AsyncOpenAI",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "ContentFilterFinishReasonError",
    "DefaultAsyncHttpxClient",
    "InternalServerError",
    "LengthFinishReasonError",
    "NotFoundError",
    "NotGiven",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "Reuse",
    "Timeout",
    "UnprocessableEntityError",
    "not_given",
    "omit",
    "pydantic_function_tool",
    "reuse_of",
]

_CLIENTS = ("OpenAI", "Client", "Stream", "AzureOpenAI", "AsyncAzureOpenAI")


def __getattr__(name: str) -> Any:
    """Other public names of the official library; but none of a client that would share nothing."""
    if name in _CLIENTS:
        # Not an AttributeError: of that, `from roost.openai import OpenAI` would not tell the sentence.
        raise ImportError(
            f"roost.openai has no {name}: Roost shares the calls of AsyncOpenAI only; import {name} from openai"
        )
    official = import_module("openai")
    if name in official.__all__:
        return getattr(official, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
