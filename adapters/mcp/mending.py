"""A client's messages, mended where the SDK would pass over them in silence and leave the client waiting."""

from __future__ import annotations

import json
from typing import Any

import structlog
from mcp import types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

log = structlog.get_logger(__name__)

Message = SessionMessage | Exception


def mend(message: Message) -> Message:
    """The message; half a character, as programs make them that cut text by its length, becomes a `?`.

    The error as it is when the line is no message.
    """
    if not isinstance(message, ValidationError):
        return message
    line: Any = message.errors()[0]["input"]
    try:
        # Python's own reader takes half a character; no encoder does.
        whole = json.dumps(json.loads(line), ensure_ascii=False).encode(errors="replace")
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(whole, by_name=False))
    except (ValueError, TypeError, RecursionError):
        log.warning("the client sent a line that is no message", characters=len(str(line)))
        return message
