"""What is not shared unless asked for: what changes or depends on more than the request's own words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

from .endpoint import Endpoint

DATA_TOOLS = frozenset({"function", "custom"})
"""Tools that the caller runs: a call of one is part of the answer, nothing more."""

WORLD_MEMBERS = (
    "web_search_options", "web_search", "enable_search", "search_parameters", "data_sources", "plugins",
)  # fmt: skip
"""Members by which OpenAI and servers that speak the same let a model look something up."""

WORLD_MODEL = re.compile(r"search|deep-research|:online$", re.IGNORECASE)
"""Models that look something up without being told to."""


def reason_against(endpoint: Endpoint, body: dict[str, Any]) -> str | None:
    """Why this request is not shared by default; None when it is."""
    if WORLD_MODEL.search(str(body.get("model", ""))) and endpoint is not Endpoint.EMBEDDINGS:
        return "its model looks things up"
    for name in WORLD_MEMBERS:
        if body.get(name):
            return f"it may look things up ({name})"
    for kind in _tool_kinds(body.get("tools")):
        if kind not in DATA_TOOLS:
            return f"the provider runs a tool for it ({kind})"
    if endpoint is Endpoint.CHAT:
        return _against_chat(body)
    if endpoint is Endpoint.RESPONSES:
        return _against_response(body)
    return None


def _against_chat(body: dict[str, Any]) -> str | None:
    if body.get("store"):
        return "the provider is to store it (store)"
    modalities: object = body.get("modalities")
    if body.get("audio") or (isinstance(modalities, list) and "audio" in modalities):
        return "the provider keeps spoken answers for an hour (audio)"
    return None


def _against_response(body: dict[str, Any]) -> str | None:
    if body.get("conversation"):
        return "it adds to a conversation that the provider keeps (conversation)"
    if body.get("background"):
        return "it is answered later (background)"
    prompt: object = body.get("prompt")
    if isinstance(prompt, dict) and not cast("dict[str, object]", prompt).get("version"):
        return "its prompt is the provider's newest (prompt without version)"
    return None


def _tool_kinds(tools: object) -> Iterable[str]:
    if not isinstance(tools, list):
        return
    for tool in cast("list[object]", tools):
        kind: object = cast("dict[str, object]", tool).get("type") if isinstance(tool, dict) else None
        yield kind if isinstance(kind, str) else "of an unknown kind"
