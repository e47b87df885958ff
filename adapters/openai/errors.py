"""Why a call goes past the memory. None of these reaches a caller of the client."""

from __future__ import annotations

import httpx2

from roost.actors.models.errors import ModelError
from roost.streams import RoostError


class AnswerNotKept(ModelError):
    """An answer that must not be kept. It ends a computation.

    `response` is it, for the one who asked; `whole` says that the provider did answer: the same request, sent again,
    would most likely meet the same.
    """

    def __init__(self, why: str, response: httpx2.Response | None = None, *, whole: bool = False) -> None:
        super().__init__(f"not kept: {why}")
        self.response = response
        self.whole = whole


class Unreached(Exception):
    """The memory could not be asked, or gave no answer in time."""

    def __init__(self, error: RoostError) -> None:
        super().__init__(str(error))
        self.error = error


class Alone(Exception):
    """Nothing can be shared here: the caller asks the provider itself."""
