"""The page on which people watch a flock at work."""

from .feed import Feed
from .moment import Moment
from .serving import PageError, choose_port, serve_page
from .showing import show_feed
from .view import View

__all__ = ["Feed", "Moment", "PageError", "View", "choose_port", "serve_page", "show_feed"]
