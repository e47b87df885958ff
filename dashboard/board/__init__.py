"""The board: runs that were started from the page, how far each is, and a button that stops it."""

from .board import show_board

__all__ = ["show_board"]
