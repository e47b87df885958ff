"""The annals: all that a flock's log tells, indexed in memory, so that pages can ask for any moment of it."""

from .annals import Annals

__all__ = ["Annals"]
