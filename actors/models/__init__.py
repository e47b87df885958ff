"""Models: one that needs nothing, and whatever speaks OpenAI's chat completions. They know no flock and no memory."""

from __future__ import annotations

from .choose import model_from_name
from .errors import (
    AnswerCutOff,
    AnswerError,
    AnswerRefused,
    EmptyAnswer,
    InvalidRequest,
    ModelBusy,
    ModelError,
    ModelNotAllowed,
    ModelNotConfigured,
    ModelRefusedRequest,
    ModelUnavailable,
    NoSuchModel,
    QuotaExhausted,
    UnknownModel,
)
from .model import Completion, Input, Model, Request
from .offline import OfflineModel
from .prices import Price, PriceTable, cost
from .usage import Usage, estimate_tokens

__all__ = [
    "AnswerCutOff",
    "AnswerError",
    "AnswerRefused",
    "Completion",
    "EmptyAnswer",
    "Input",
    "InvalidRequest",
    "Model",
    "ModelBusy",
    "ModelError",
    "ModelNotAllowed",
    "ModelNotConfigured",
    "ModelRefusedRequest",
    "ModelUnavailable",
    "NoSuchModel",
    "OfflineModel",
    "Price",
    "PriceTable",
    "QuotaExhausted",
    "Request",
    "UnknownModel",
    "Usage",
    "cost",
    "estimate_tokens",
    "model_from_name",
]
