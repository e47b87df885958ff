"""The client of OpenAI's own library, with a memory: what several programs ask alike is asked of the provider once."""

from .client import AsyncOpenAI
from .reuse import Reuse, reuse_of

__all__ = ["AsyncOpenAI", "Reuse", "reuse_of"]
