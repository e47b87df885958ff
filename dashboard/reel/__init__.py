"""The reel: Live as it was, wound to any moment of the past."""

from .reel import Reel
from .reels import past_view

__all__ = ["Reel", "past_view"]
