"""The flock's memory for agents that speak the Model Context Protocol."""

from .http import PATH, HttpServer, listen, names_of
from .seats import SILENCE
from .stdio import serve_stdio
from .surface import Surface

__all__ = ["PATH", "SILENCE", "HttpServer", "Surface", "listen", "names_of", "serve_stdio"]
