"""A tool: what a model is told of it, what it takes and answers, and how a failure is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog
from mcp import types
from pydantic import BaseModel, ValidationError

from roost.streams import RoostError

from .arguments import Arguments
from .seat import Seat

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A structured result, and blocks of content that go with it."""

    result: BaseModel
    blocks: tuple[types.ContentBlock, ...] = ()


Act = Callable[[Seat, Any], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """`act` does it for a seat, with arguments of the class `takes`. The hints are for clients that ask their users."""

    name: str
    title: str
    description: str
    takes: type[Arguments]
    gives: type[BaseModel]
    act: Act
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False

    @cached_property
    def listed(self) -> types.Tool:
        """As clients see it."""
        hints = types.ToolAnnotations(
            read_only_hint=self.read_only, destructive_hint=self.destructive, idempotent_hint=self.idempotent,
            open_world_hint=False,
        )  # fmt: skip
        return types.Tool(
            name=self.name, title=self.title, description=self.description, annotations=hints,
            input_schema=self.takes.model_json_schema(), output_schema=self.gives.model_json_schema(),
        )  # fmt: skip

    async def call(self, seat: Seat, given: dict[str, Any]) -> types.CallToolResult:
        """Whatever goes wrong is told in the result, in one sentence: the model can do something about it."""
        try:
            asked = self.takes.model_validate(given)
        except ValidationError as error:
            return failure(_sentence(error))
        try:
            with seat.acting():
                answer = await self.act(seat, asked)
        except RoostError as error:
            return failure(str(error))
        except Exception as error:
            log.exception("a tool failed", tool=self.name)
            return failure(f"Roost failed unexpectedly ({type(error).__name__}): see the log of `roost mcp`")
        text = types.TextContent(type="text", text=answer.result.model_dump_json(exclude_none=True))
        return types.CallToolResult(
            content=[text, *answer.blocks], structured_content=answer.result.model_dump(mode="json")
        )


def failure(sentence: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=sentence)], is_error=True)


def _sentence(error: ValidationError) -> str:
    """What is wrong with arguments, without repeating what was sent."""
    problems = [
        f"{'.'.join(map(str, each['loc'])) or 'the arguments'}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    shown = "; ".join(problems[:5])
    return f"wrong arguments: {shown}" + ("; …" if len(problems) > 5 else "")
