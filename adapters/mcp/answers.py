"""What the tools answer. Each class is the schema of a tool's structured result, as clients and their models see it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class NoteFacts(BaseModel):
    """A note without its content."""

    id: str
    uri: str = Field(description="The note as a resource.")
    key: str | None = None
    author: str | None = Field(default=None, description="The agent that wrote it.")
    run: str | None = None
    tags: list[str] = []
    sources: list[str] = Field(default=[], description="IDs of the notes it was made from.")
    trust: str = Field(default="unchecked", description="How far to believe it: untrusted, unchecked or trusted.")
    media_type: str
    size_bytes: int
    written_at: str = Field(description="UTC, by its author's clock.")


class Slice(BaseModel):
    """A note with a part of its content, or all of it."""

    note: NoteFacts
    unit: Literal["characters", "bytes"] = Field(description="Of offset, total and next_offset; bytes if binary.")
    offset: int
    total: int
    next_offset: int | None = Field(description="Ask again from here for what follows; null when this was the end.")
    text: str | None = Field(description="The content as text (JSON as it is stored); null if it is binary.")


class Hit(BaseModel):
    """A note that was found, and how its content begins."""

    note: NoteFacts
    begins: str | None = Field(description="The first characters of its content; null if it is binary.")


class Found(BaseModel):
    """Notes that fit, the best first."""

    hits: list[Hit]
    looked_at: int = Field(description="Notes that were compared: those that have such words.")
    all: bool = Field(description="Whether all that have such words were compared; if not, the newest of them were.")


class Claimed(BaseModel):
    """Whose the piece of work is."""

    status: Literal["yours", "known", "held"]
    next: str = Field(description="What to do now.")
    ticket: str | None = Field(default=None, description="If it is yours: hand it in with complete or give_up.")
    until: str | None = Field(default=None, description="If it is yours: hand it in before this time (UTC).")
    known: Slice | None = Field(default=None, description="If it is known: the note with the result.")
    by: str | None = Field(default=None, description="If it is held: the agent that is at it.")
    label: str | None = Field(default=None, description="If it is held: what that agent calls it.")
    since: str | None = Field(default=None, description="If it is held: since when (UTC).")


class Completed(BaseModel):
    """How handing in a result ended."""

    status: Literal["done", "late"]
    message: str
    note: NoteFacts | None = Field(description="The note that the key means now; null while another is at the work.")


class GivenUp(BaseModel):
    """The piece of work is free again."""

    key: str


class Doing(BaseModel):
    """A piece of work that somebody has claimed."""

    key: str
    label: str | None
    since: str


class Agent(BaseModel):
    """An agent of the flock, by what it did of late."""

    name: str
    run: str | None
    doing: list[Doing]
    last: str = Field(description="The last thing it was seen to do.")
    last_seen: str


class InHand(BaseModel):
    """A claim of your own."""

    ticket: str
    key: str
    label: str | None
    until: str


class Activities(BaseModel):
    """Who is there and what they do."""

    you: str = Field(description="The name under which you act.")
    in_hand: list[InHand] = Field(description="What you have claimed and not handed in yet.")
    agents: list[Agent] = Field(description="Those at work first, then the last seen.")


class Forgotten(BaseModel):
    """The note is gone."""

    id: str
