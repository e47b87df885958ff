"""The four endpoints whose answers are shared."""

from __future__ import annotations

from enum import StrEnum


class Endpoint(StrEnum):
    """By the end of its path."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"

    @classmethod
    def of(cls, method: str, path: str) -> Endpoint | None:
        """The endpoint that a request is for; None for every other."""
        if method != "POST":
            return None
        # In this order: the path of chat completions ends like that of completions.
        return next((endpoint for endpoint in cls if path.endswith(f"/{endpoint}")), None)
