"""What the tools take. Each class is the schema of a tool's arguments, as clients and their models see it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_TEXT = 4 * 1024 * 1024
"""Characters of content in one call: the whole message is held in memory several times."""
SLICE = 20_000
MAX_SLICE = 100_000
MAX_HITS = 50
WAIT_S = 20
MAX_WAIT_S = 50
"""Many clients give up a call after a minute."""
LIMIT_S = 600
MAX_LIMIT_S = 24 * 3600

Tag = Annotated[str, Field(min_length=1, max_length=100)]
Tags = Annotated[list[Tag], Field(max_length=32)]
NoteId = Annotated[str, Field(min_length=1, max_length=64, description="A note's ID.")]
Key = Annotated[str, Field(min_length=1, max_length=512)]
Ticket = Annotated[str, Field(min_length=1, max_length=100, description="The ticket that claim gave you.")]


class Arguments(BaseModel):
    """No argument that is not known: a model that guesses a name should be told."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class Remember(Arguments):
    content: str = Field(max_length=MAX_TEXT, description="The note's text.")
    key: Key | None = Field(default=None, description="A name by which others find it; it then means this note.")
    tags: Tags = Field(default=[], description="Words to filter by.")
    ttl_seconds: float | None = Field(
        default=None, gt=0, le=100 * 366 * 86_400, description="How long it lives; if not said, the flock's default."
    )
    sources: list[str] | None = Field(
        default=None, max_length=1000,
        description="IDs of the notes it was made from; if not said, those that you have read.",
    )  # fmt: skip
    trust: Literal["untrusted", "unchecked"] | None = Field(
        default=None,
        description="'untrusted' for what comes from outside, such as a page; what is made from it is so by itself.",
    )


class Recall(Arguments):
    id: NoteId | None = None
    key: Key | None = Field(default=None, description="The key of a note, instead of its ID.")
    offset: int = Field(default=0, ge=0, description="Where to begin, in characters (bytes if it is binary).")
    limit: int = Field(default=SLICE, ge=1, le=MAX_SLICE, description="How much to read.")


class Search(Arguments):
    text: str = Field(min_length=1, max_length=2000, description="A few words that the notes should hold.")
    tags: Tags = Field(default=[], description="Only notes that have all of these tags.")
    author: str | None = Field(default=None, max_length=200, description="Only notes of this agent.")
    limit: int = Field(default=10, ge=1, le=MAX_HITS, description="How many at most.")


class Claim(Arguments):
    key: Key = Field(
        description="Names the work and all that its result depends on, alike for all who may want it: "
        "'summary of https://example.com/guide, version 2'."
    )
    label: str | None = Field(default=None, max_length=1000, description="What others see that you are doing.")
    wait_seconds: float = Field(
        default=WAIT_S, ge=0, le=MAX_WAIT_S, description="How long to wait for the result if another is at it."
    )
    limit_seconds: float = Field(
        default=LIMIT_S, gt=0, le=MAX_LIMIT_S, description="How long the work may take before another may have it."
    )


class Complete(Arguments):
    ticket: Ticket
    content: str = Field(max_length=MAX_TEXT, description="The result, as text.")
    tags: Tags = Field(default=[], description="Words to filter by.")
    sources: list[str] | None = Field(
        default=None, max_length=1000,
        description="IDs of the notes it was made from; if not said, those that you have read since the claim.",
    )  # fmt: skip


class GiveUp(Arguments):
    ticket: Ticket
    reason: str = Field(min_length=1, max_length=500, description="Why, for those who look at the log.")


class WorkingOn(Arguments):
    pass


class Forget(Arguments):
    id: NoteId
