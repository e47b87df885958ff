"""Everything that can go wrong between Roost and a model. `retryable` says whether the same request may be sent
again, and `retry_after` how long the server asked to be left alone, None where it did not say.

ModelError
├── UnknownModel             a model name that nothing answers to (also a SettingsError)
├── ModelNotConfigured       a key, an option or a price table is missing or cannot be used (also a SettingsError)
├── InvalidRequest           a request that no model could take: nothing in it, or a number out of range
├── ModelUnavailable         no connection, no answer in time, or the server failed        retryable
├── ModelBusy                too many requests at once                                     retryable
├── QuotaExhausted           the account has no credit left
├── ModelNotAllowed          a wrong key, or one that may not use this model
├── ModelRefusedRequest      the server will not take this request, however often it is sent
│   └── NoSuchModel          nor any other: it has no such model, or does not speak chat completions
└── AnswerError              the model answered, but the answer must not be used or kept
    ├── EmptyAnswer          nothing in it
    ├── AnswerCutOff         it ended because of its length
    └── AnswerRefused        withheld by a content filter, or the model declined
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from roost.streams.errors import RoostError, SettingsError


class ModelError(RoostError):
    """A model could not do what was asked."""

    retryable: ClassVar[bool] = False
    """Whether the same request may be sent again."""

    def __init__(self, message: str | None = None, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.model: str | None = None
        """The label of the model that was asked, once it is known."""
        self.retry_after = retry_after
        """How long the server asked to be left alone, if it did."""


class UnknownModel(ModelError, SettingsError):
    """There is no such model; use offline, or openai/<name>."""


class ModelNotConfigured(ModelError, SettingsError):
    """The model cannot be used yet: a setting is missing."""


class InvalidRequest(ModelError):
    """The request cannot be put to any model."""


class ModelUnavailable(ModelError):
    """The model server cannot be reached, or failed; the same request may be sent again."""

    retryable: ClassVar[bool] = True


class ModelBusy(ModelError):
    """The model server asks for fewer requests; wait before the next."""

    retryable: ClassVar[bool] = True


class QuotaExhausted(ModelError):
    """The model account has no credit left: add some, or use another key or model."""


class ModelNotAllowed(ModelError):
    """The model server does not accept the key; check OPENAI_API_KEY."""


class ModelRefusedRequest(ModelError):
    """The model server will not take this request; sending it again would not help."""


class NoSuchModel(ModelRefusedRequest):
    """The server has no such model, or it is no model server; check the name and OPENAI_BASE_URL."""


class AnswerError(ModelError):
    """The model's answer must not be used."""


class EmptyAnswer(AnswerError):
    """The model gave an empty answer."""


class AnswerCutOff(AnswerError):
    """The answer was cut off by its length; raise max_output_tokens, or give the model less to read."""


class AnswerRefused(AnswerError):
    """The model declined to answer, or its answer was withheld by a content filter."""
