"""The flock's memory for agents that speak the Model Context Protocol."""

from .http import PATH, HttpServer, is_loopback, listen
from .seats import SILENCE
from .stdio import serve_stdio
from .surface import Surface

__all__ = ["PATH", "SILENCE", "HttpServer", "Surface", "is_loopback", "listen", "serve_stdio"]
