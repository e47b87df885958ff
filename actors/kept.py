"""What an effect's action has answered, kept in the log for all who ask again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from roost.streams import RoostError
from roost.streams.effects import MAX_RESULT_BYTES

from .failure import message_of
from .result import UnfitResult, adapter_of

Action = Callable[[str], Awaitable[Any]]
"""What makes an effect happen. It is given the effect's key, as its idempotency key."""

EFFECT_LIMIT = timedelta(minutes=5)
"""What an action may take. Longer, and nobody knows what becomes of it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How the result of an effect is kept: as JSON, and given back as that, or as the type that it was asked as."""

    adapter: TypeAdapter[Any] | None = None

    @classmethod
    def of(cls, returns: Any) -> Kept:
        """`returns`: a type that pydantic validates; None for what JSON holds."""
        return cls(None if returns is None else adapter_of(returns))

    def dump(self, value: Any) -> tuple[bytes, str]:
        """As JSON, and what is wrong with it if it cannot be kept."""
        try:
            if self.adapter is None:
                raw = to_json(value, inf_nan_mode="strings")
            else:
                raw = self.adapter.dump_json(value, warnings="error")
            self.read(raw)
        except (PydanticSerializationError, RoostError, ValueError) as error:
            return b"null", message_of(error)
        if len(raw) > MAX_RESULT_BYTES:
            return b"null", f"it has {len(raw):,} bytes as JSON; up to {MAX_RESULT_BYTES:,} are kept"
        return raw, ""

    def read(self, raw: bytes) -> Any:
        """Raises UnfitResult when it was kept as something else."""
        if self.adapter is None:
            return orjson.loads(raw)
        try:
            return self.adapter.validate_json(raw)
        except ValidationError as error:
            raise UnfitResult(f"the effect's result is not what it is asked as: {message_of(error)}") from error
