"""Which exporter a variable names, of traces, metrics and logs alike; in a sentence, why it cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from .variables import INSTALL, endpoint_of, protocol_of, timeout_of, without_secrets

E = TypeVar("E")
Say = Callable[[str], object]


@contextmanager
def unless_unfit(signal: str, say: Say) -> Generator[None]:
    """Go on without that signal where a variable holds what it cannot be: the work does not depend on it."""
    try:
        yield
    except ValueError as error:
        say(f"{signal} cannot be exported: {error}")


@dataclass(frozen=True, slots=True)
class Exporters(Generic[E]):
    """How the exporters of a signal are made; each imports what it takes. `others` are names that it knows besides."""

    signal: str
    console: Callable[[], E]
    grpc: Callable[[int | None], E]
    http: Callable[[int | None], E]
    others: tuple[str, ...] = ()

    def make(self, name: str, say: Say) -> E | None:
        """None, and a word of it, for one that cannot be had."""
        if name == "console":
            return self.console()
        if name != "otlp":
            known = ", ".join(("otlp", *self.others, "console"))
            say(f"OTEL_{self.signal.upper()}_EXPORTER names {name!r}, which is not known: use {known} or none")
            return None
        protocol = protocol_of(self.signal)
        make = {"grpc": self.grpc, "http/protobuf": self.http}.get(protocol)
        if make is None:
            say(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}, which is not known: use grpc or http/protobuf")
            return None
        try:
            return make(timeout_of(self.signal))
        except ImportError:
            say(f"{self.signal} are asked for, and there is nothing to export them with: {INSTALL}")
        except Exception as error:  # such as a certificate that is not there
            say(f"{self.signal} cannot be exported: {error}")
        return None

    def place(self, name: str) -> str:
        """Where that one sends to, as people may see it."""
        return without_secrets(endpoint_of(self.signal)) if name == "otlp" else name
