"""Errors that come back: made again of the name and the message that the log has kept."""

from __future__ import annotations

from roost.streams import RoostError

MAX_CLASSES = 20_000


class Recurred(RoostError):
    """An error of a class that this program does not know."""


def revive(name: str, message: str) -> Exception:
    """An error of the class of that name, as far as it is known here, which says that message."""
    kind = _class_named(name)
    if kind is None:
        return Recurred(f"{name}: {message}")
    error = kind.__new__(kind)  # not called: what it takes to make one is its own affair
    error.args = (message,)
    return error


def _class_named(name: str) -> type[Exception] | None:
    """Roost's own go before others of the same name."""
    found: type[Exception] | None = None
    waiting: list[type[Exception]] = [Exception]
    for _ in range(MAX_CLASSES):
        if not waiting:
            break
        kind = waiting.pop()
        if kind.__name__ == name:
            if issubclass(kind, RoostError):
                return kind
            found = found or kind
        waiting.extend(kind.__subclasses__())
    return found
