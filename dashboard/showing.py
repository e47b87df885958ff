"""What is shown: the feed that the page's sessions look at. One process serves one flock."""

from __future__ import annotations

from .feed import Feed

_shown: list[Feed] = []


def show_feed(feed: Feed) -> None:
    """From now on the page shows this feed."""
    _shown[:] = [feed]


def shown_feed() -> Feed | None:
    """The feed that the page shows; None when the page was not started by `roost dash`."""
    return _shown[0] if _shown else None
