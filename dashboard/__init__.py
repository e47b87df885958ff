"""The pages on which people watch a flock at work, look into its memory, and start runs."""

from .annals import Annals
from .desk import Desk
from .feed import Feed
from .moment import Moment
from .serving import PageError, bind, is_shared, serve_page
from .showing import show_desk, show_started
from .started import StartedRuns
from .tokens import Tokens
from .view import View

__all__ = [
    "Annals",
    "Desk",
    "Feed",
    "Moment",
    "PageError",
    "StartedRuns",
    "Tokens",
    "View",
    "bind",
    "is_shared",
    "serve_page",
    "show_desk",
    "show_started",
]
