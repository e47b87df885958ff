"""Roost's own server: a Valkey process per home directory, started by whoever needs it first and left running."""

from .launch import ServerAddress, find_server, start_server
from .status import ServerStatus, remote_status, server_status
from .stop import StopResult, stop_server

__all__ = [
    "ServerAddress",
    "ServerStatus",
    "StopResult",
    "find_server",
    "remote_status",
    "server_status",
    "start_server",
    "stop_server",
]
