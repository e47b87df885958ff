"""Models behind OpenAI's chat completions: OpenAI's own, and every server that speaks the same."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from decimal import Decimal
from json import JSONDecodeError
from typing import cast
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from roost.streams.secret_file import read_secret

from . import prices as price_list
from .errors import (
    AnswerCutOff,
    AnswerRefused,
    EmptyAnswer,
    ModelError,
    ModelNotConfigured,
    ModelUnavailable,
    NoSuchModel,
)
from .model import Completion, Request
from .openai_errors import Redaction, inside_answer, translate
from .prices import PriceSource, PriceTable
from .prompt import FORMAT, chat_messages
from .usage import Usage, estimate_tokens

OFFICIAL_HOST = "api.openai.com"
DEFAULT_TIMEOUT = timedelta(seconds=120)
CONNECT_TIMEOUT_S = 10.0
NO_KEY = "none"
"""Sent to servers of one's own, most of which ask for no key; the client insists on one."""


class OpenAIModel:
    """`openai/<name>`: one request, one HTTP call, no retries of its own, for these belong to the log.

    The client reads `OPENAI_BASE_URL`, `OPENAI_API_KEY` and the like itself. Without a key it needs a base URL. An
    answer that is empty, cut off or withheld is an error, never a completion. Tokens are the server's count; where it
    gives none they are estimated and say so. A server of one's own has a price only by the user's table.
    """

    def __init__(self, model: str, *, prices: PriceSource | None = None, timeout: timedelta = DEFAULT_TIMEOUT) -> None:
        self.name = self.label = f"openai/{model}"
        self._model = model
        self._timeout_s = timeout.total_seconds()
        self._prices = None if prices is None else PriceTable.load(prices)
        key, base_url = _credentials(self.name)
        self._redaction = Redaction(key)
        self._client = openai.AsyncOpenAI(
            api_key=key or NO_KEY,
            base_url=base_url,
            max_retries=0,
            timeout=openai.Timeout(self._timeout_s, connect=min(CONNECT_TIMEOUT_S, self._timeout_s)),
        )
        self._server, self._official = _server(str(self._client.base_url))

    def __repr__(self) -> str:
        return f"OpenAIModel({self.name!r} at {self._server})"

    @property
    def identity(self) -> str:
        """Server, model and form of the messages."""
        return f"openai/chat/{FORMAT} {self._server} {self._model}"

    def cost(self, usage: Usage) -> Decimal | None:
        return price_list.cost(self.name, usage, table=self._prices, public=self._official)

    async def complete(self, request: Request) -> Completion:
        """Raises the errors of `ModelError`; none of them holds the key, nor the client's own error, which may."""
        started = time.perf_counter()
        problem: ModelError | None = None
        reply: object = None
        try:
            async with asyncio.timeout(self._timeout_s):  # the client's own limit is between two reads
                reply = await self._send(request)
        except TimeoutError:
            problem = ModelUnavailable(f"{self._server} gave no answer within {self._timeout_s:g} s: try again later")
        except (
            openai.OpenAIError,
            JSONDecodeError,
            UnicodeDecodeError,
        ) as error:  # the client lets broken bodies through
            problem = translate(error, model=self._model, server=self._server, redaction=self._redaction)
        if problem is not None:
            raise problem  # outside `except`, so that no traceback shows the client's error, which may hold the key
        text, answered_by, usage = self._read(reply)
        estimated = usage is None
        if usage is None:
            sent = [message["content"] for message in chat_messages(request)]
            usage = Usage(estimate_tokens(*sent), estimate_tokens(text))
        return Completion(
            text=text,
            model=self.name,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            cost_usd=self.cost(usage),
            cost_cached_usd=price_list.cost_cached(self.name, usage, table=self._prices, public=self._official),
            tokens_estimated=estimated,
            duration_ms=(time.perf_counter() - started) * 1000,
            answered_by=answered_by,
        )

    async def close(self) -> None:
        await self._client.close()

    async def _send(self, request: Request) -> object:
        limit = openai.omit if request.max_output_tokens is None else request.max_output_tokens
        return await self._client.chat.completions.create(
            model=self._model,
            messages=cast("list[ChatCompletionMessageParam]", chat_messages(request)),
            temperature=openai.omit if request.temperature is None else request.temperature,
            seed=openai.omit if request.seed is None else request.seed,
            # OpenAI's reasoning models refuse the old name; many other servers do not know the new one
            max_completion_tokens=limit if self._official else openai.omit,
            max_tokens=openai.omit if self._official else limit,
        )

    def _read(self, reply: object) -> tuple[str, str | None, Usage | None]:
        """Text, the server's name for the model, and usage if it counted; the client checks no types, so this does."""
        if passed_on := inside_answer(reply, server=self._server, redaction=self._redaction):
            raise passed_on
        choices: object = getattr(reply, "choices", None)
        if not isinstance(reply, ChatCompletion) or not isinstance(choices, list):
            raise NoSuchModel(
                f"{self._server} did not answer with a chat completion: check OPENAI_BASE_URL, which mostly ends in /v1"
            )
        first: object = cast("list[object]", choices)[0] if choices else None
        message, reason = getattr(first, "message", None), getattr(first, "finish_reason", None)
        if reason == "length":
            raise AnswerCutOff(
                f"{self.name} was cut off by its length: give it more room to answer (max_output_tokens, or its "
                "server's limit), or less to read"
            )
        if reason == "content_filter" or getattr(message, "refusal", None):
            raise AnswerRefused(f"{self.name} would not answer: a content filter or the model itself declined")
        content = getattr(message, "content", None)
        if not isinstance(content, str) or not content.strip():
            raise EmptyAnswer(f"{self.name} gave an empty answer: try again, or another model")
        answered_by: object = getattr(reply, "model", None)
        return content.strip(), answered_by if isinstance(answered_by, str) else None, _usage(reply)


def _usage(reply: ChatCompletion) -> Usage | None:
    counted = reply.usage
    sent, received = getattr(counted, "prompt_tokens", None), getattr(counted, "completion_tokens", None)
    # a question has tokens: a server that says 0 did not count
    if not isinstance(sent, int) or not isinstance(received, int) or sent <= 0 or received < 0:
        return None
    cached = getattr(getattr(counted, "prompt_tokens_details", None), "cached_tokens", None)
    if not isinstance(cached, int):
        return Usage(sent, received)
    return Usage(sent, received, min(max(cached, 0), sent), tells_cached=True)


def _credentials(name: str) -> tuple[str | None, str | None]:
    """Key and base URL to pass on, None for the client's own reading; what cannot work is refused in plain words."""
    key = os.environ.get("OPENAI_API_KEY", "").strip() or None
    if key is None and (file := os.environ.get("OPENAI_API_KEY_FILE", "").strip()):
        key = read_secret(file, "OPENAI_API_KEY_FILE")
    base_url = os.environ.get("OPENAI_BASE_URL", "").strip() or None
    if key is None and base_url is None:
        raise ModelNotConfigured(
            f"{name} needs OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own; without either use offline"
        )
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ModelNotConfigured("OPENAI_API_KEY holds a space, a line break or a letter that no key has: set it again")
    if base_url is not None and not _is_http(base_url):
        raise ModelNotConfigured("OPENAI_BASE_URL is not an http or https URL: it looks like http://127.0.0.1:11434/v1")
    # an empty variable would be taken for a URL by the client
    return key, base_url or f"https://{OFFICIAL_HOST}/v1"


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are none
        return False


def _server(base_url: str) -> tuple[str, bool]:
    """The base URL without what may be secret in it (user, password, query), and whether it is OpenAI's own."""
    parts = urlsplit(base_url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}", parts.hostname == OFFICIAL_HOST
