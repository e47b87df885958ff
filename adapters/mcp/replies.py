"""Replies: what happened, in the words that a model gets."""

from __future__ import annotations

from mcp import types

from roost.projections import AgentState, Task
from roost.streams import Note

from . import answers
from .arguments import SLICE
from .claims import Claim, HandedIn
from .content import facts_of, slice_of, time_of
from .seat import Seat
from .tool import Answer

MAX_DOING = 20


def yours(claim: Claim) -> answers.Claimed:
    return answers.Claimed(
        status="yours", ticket=claim.ticket, until=time_of(claim.until_ms),
        next="Do the work, then call complete with this ticket and the result; call give_up if you cannot do it.",
    )  # fmt: skip


def known(note: Note) -> Answer:
    part, blob = slice_of(note, 0, SLICE)
    result = answers.Claimed(status="known", known=part, next="Use this result: the work has been done.")
    blocks: tuple[types.ContentBlock, ...] = () if blob is None else (blob,)
    return Answer(result, blocks)


def held(seat: Seat, work: Task | None) -> answers.Claimed:
    again = "Ask again with the same key to go on waiting, or do something else first."
    if work is None:
        return answers.Claimed(status="held", next=again)
    if work.agent.name == seat.agent:
        again = f"It was claimed under your own name: working_on lists its ticket if it is yours. {again}"
    return answers.Claimed(
        status="held", by=work.agent.name, label=work.label, since=time_of(work.since_ms), next=again
    )


def completed(handed_in: HandedIn) -> answers.Completed:
    facts = None if handed_in.record is None else facts_of(handed_in.record)
    if handed_in.kept and handed_in.in_time:
        message = "Your result is the note of the key now."
    elif handed_in.kept:
        message = "Your claim had ended, but nobody had taken the work over: your result is the note of the key now."
    elif facts is not None:
        message = "You came too late: the key has another note by now, use that one. Yours was not kept."
    else:
        message = "You came too late: another agent is at the work now. Yours was not kept; claim the key to wait."
    return answers.Completed(status="done" if handed_in.kept else "late", message=message, note=facts)


def agent(state: AgentState) -> answers.Agent:
    doing = [
        answers.Doing(key=work.key, label=work.label, since=time_of(work.since_ms)) for work in state.doing[:MAX_DOING]
    ]
    return answers.Agent(
        name=state.id.name, run=state.id.run or None, doing=doing, last=f"{state.did} {state.about}".strip(),
        last_seen=time_of(state.last_ms),
    )  # fmt: skip
