"""The OpenAI client's errors as Roost's: one line that says what to do, and never a key."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeGuard

import openai

from .errors import (
    ModelBusy,
    ModelError,
    ModelNotAllowed,
    ModelRefusedRequest,
    ModelUnavailable,
    NoSuchModel,
    QuotaExhausted,
)

MAX_RETRY_AFTER = timedelta(hours=1)
MAX_DETAIL = 240
SECRETS = re.compile(r"\b(?:sk|pk)-[\w*.-]{4,}|(?<=Bearer )\S+|(?<=://)[^/\s@]+@")
TRY_LATER = frozenset({408, 409, 425})


class Redaction:
    """Takes the key, and what looks like one, out of text from elsewhere."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "Redaction()"

    def line(self, text: str) -> str:
        """One line of printable characters, at most 240 of them, without keys."""
        if self._key:
            text = text.replace(self._key, "***")
        text = SECRETS.sub("***", text)
        text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
        return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"


def translate(error: Exception, *, model: str, server: str, redaction: Redaction) -> ModelError:
    if isinstance(error, openai.APITimeoutError):
        return ModelUnavailable(f"{server} gave no answer in time: is it overloaded? Try again later")
    if isinstance(error, openai.APIStatusError):
        return _from_status(error, model=model, server=server, redaction=redaction)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__ or error
        why = redaction.line(f"{type(cause).__name__}: {cause}")
        return ModelUnavailable(f"{server} cannot be reached ({why}): is it running, and OPENAI_BASE_URL right?")
    why = redaction.line(f"{type(error).__name__}: {error}")
    return ModelUnavailable(f"{server} gave an answer that cannot be read ({why}): check OPENAI_BASE_URL")


def inside_answer(reply: object, *, server: str, redaction: Redaction) -> ModelError | None:
    """The error in an answer that claims to be a success: gateways pass on so what servers behind them said."""
    found: object = getattr(reply, "error", None)
    message: object = found.get("message") if _is_object(found) else None
    if not isinstance(message, str):
        return None
    return ModelUnavailable(f"{server} passed on an error: {redaction.line(message)}")


def _from_status(error: openai.APIStatusError, *, model: str, server: str, redaction: Redaction) -> ModelError:
    status = error.status_code
    said = redaction.line(_message(error))
    wait = retry_after(error.response.headers)
    if status == 429 and "insufficient_quota" in (error.code, error.type):
        return QuotaExhausted(f"{server}: the account has no credit left: add some, or use another key or model")
    if status == 429:
        after = f"; it asks to wait {wait.total_seconds():g} s" if wait is not None else ""
        return ModelBusy(f"{server} asks for fewer requests{after}: let fewer agents ask at once", retry_after=wait)
    if status == 401:  # what the server says here often quotes the key
        return ModelNotAllowed(f"{server} does not accept the key: check OPENAI_API_KEY")
    if status == 403:
        return ModelNotAllowed(f"{server} does not let this key use {model}: {said}")
    if status == 404:
        return NoSuchModel(f"{server} has no model {model}, or no chat completions: {said}")
    if status >= 500 or status in TRY_LATER:
        return ModelUnavailable(f"{server} failed with status {status}, try again later: {said}", retry_after=wait)
    return ModelRefusedRequest(f"{server} refused the request with status {status}: {said}")


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    message: object = body.get("message") if _is_object(body) else None
    return message if isinstance(message, str) else error.message  # the client's message is the whole body


def _is_object(body: object) -> TypeGuard[dict[str, object]]:
    return isinstance(body, dict)


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> timedelta | None:
    """How long the server asks to be left alone: from 0 to an hour, None where it does not say so legibly."""
    for header, unit in (("retry-after-ms", timedelta(milliseconds=1)), ("retry-after", timedelta(seconds=1))):
        value = headers.get(header, "").strip()
        if not value:
            continue
        try:
            count = float(value)
        except ValueError:
            continue
        if not math.isnan(count):
            return unit * min(max(count, 0.0), MAX_RETRY_AFTER / unit)
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max(date - (now or datetime.now(UTC)), timedelta(0)), MAX_RETRY_AFTER)
