"""Time travel: the bar with which a moment of the past is chosen, and the moment that it has come to."""

from .bar import is_playing, moment, travelled

__all__ = ["is_playing", "moment", "travelled"]
