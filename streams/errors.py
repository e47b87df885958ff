"""Every error that Roost raises on purpose. The docstring of each is its message when none is given.

RoostError
├── SettingsError            a setting, an argument or a name that cannot be used
├── ServerUnavailable        no server, a wrong password, not a Redis server
│   ├── ServerFull           the server has no memory left for writes; nothing was written
│   └── AccessRefused        the server does not let this user do that
├── Conflict                 a stale expected version; carries `current` and `expected`
├── OutcomeUnknown           an append whose answer was lost for good
├── LimitExceeded            an event, a note or a batch past its bound
│   └── AgentLimitExceeded   a note of an agent that keeps as many as it may, or as large ones; nothing was written
├── InboxFull                an append that an inbox has no room for; nothing was written
├── UndeclaredEvent          a payload whose type was never declared, or data that does not fit it
├── NoteNotFound             no such note, or it has expired or was forgotten
├── NotTrusted               a note whose label is lower than its reader asks for
├── SubjectForgotten         what is about somebody whose key was destroyed: nobody can read it any more
├── ContentChanged           a note whose content is not what its event says; for who reads `verified`
├── ClaimError
│   ├── SelfWait             a computation that asks for its own key
│   └── ComputeTimeout       a computation that took longer than it may
├── EffectError
│   ├── EffectUnknown        an outside effect of which nobody knows whether it has happened; carries `effect`, its key
│   ├── EffectBusy           an outside effect that another is carrying out just now
│   └── NotDone              raised by an action: the effect has not happened
└── Closed                   the flock, or the part asked, is closed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .position import Position


class RoostError(Exception):
    """Roost could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class SettingsError(RoostError):
    """A setting cannot be used."""


class ServerUnavailable(RoostError):
    """The server cannot be reached; start it, or set ROOST_URL."""


class ServerFull(ServerUnavailable):
    """The server has no memory left for writes and nothing was written; raise its maxmemory, or forget and archive."""


class AccessRefused(ServerUnavailable):
    """The server does not let this user do that."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the server does not let this user do that ({what.strip(' .')[:200]}): connect as one whose role takes "
            "it; `roost acl list` tells the roles"
        )


class Conflict(RoostError):
    """The subject has changed since it was read; read it again and retry."""

    def __init__(self, subject: str, *, current: int, expected: int, position: Position | None = None) -> None:
        super().__init__(f"{subject} is at version {current}, not at {expected}: read it again and retry")
        self.subject = subject
        self.current = current
        self.expected = expected
        self.position = position


class OutcomeUnknown(RoostError):
    """The answer to an append was lost and cannot be asked for again; read the subject to see whether it happened."""


class LimitExceeded(RoostError):
    """That is larger than Roost takes at once."""


class AgentLimitExceeded(LimitExceeded):
    """An agent keeps as much as it may in the memory, and nothing was written; carries how much that is."""

    retryable = True
    """Notes expire, and limits are raised."""

    def __init__(
        self, agent: str, what: Literal["notes", "bytes"], *, limit: int, held: int, more: int, is_whole: bool = False
    ) -> None:  # fmt: skip
        kept = "bytes of notes" if what == "bytes" else "note" if limit == 1 else "notes"
        super().__init__(
            f"agent {agent} may keep {limit:,} {kept} and has {held:,}: {more:,} more are refused; forget some, let "
            f"them expire, or raise its limit (roost limits --agent {agent} --{what})"
        )
        self.agent = agent
        self.what: Literal["notes", "bytes"] = what
        self.limit = limit
        self.held = held
        self.more = more
        self.is_whole = is_whole
        """Whether other shards of the flock, if it has any, were found to have no room for it either."""


class InboxFull(RoostError):
    """An inbox has no room for what was to be appended; nothing was written."""

    def __init__(self, inbox: str, limit: int) -> None:
        super().__init__(
            f"the inbox of {inbox} holds its limit of {limit:,} and nothing was written: append later, let more "
            "workers empty it, or raise its actor's inbox_limit"
        )
        self.inbox = inbox
        self.limit = limit


class UndeclaredEvent(RoostError):
    """That payload's type is not declared; decorate its class with @event("its.name")."""


class NoteNotFound(RoostError):
    """There is no such note: it was never written here, has expired, or was forgotten."""

    def __init__(self, note_id: str) -> None:
        super().__init__(
            f"there is no note {note_id!r}: it was never written in this flock, has expired, or was forgotten"
        )
        self.note_id = note_id


class NotTrusted(RoostError):
    """A note's label is lower than what its reader asks for; carries `note_id`, `trust` and `required`."""

    def __init__(self, note_id: str, trust: str, required: str) -> None:
        super().__init__(
            f"note {note_id} is {trust}, and was asked for as {required}: `roost note {note_id} --lineage` tells what "
            "it was made from; who has checked it writes it again with vouched=True"
        )
        self.note_id = note_id
        self.trust = trust
        self.required = required


class SubjectForgotten(RoostError):
    """Whom that is about was forgotten: its key is destroyed, and nobody can read it any more."""


class ContentChanged(RoostError):
    """A note is not what its event says; carries `note_id`."""

    def __init__(self, note_id: str, what: str) -> None:
        super().__init__(f"note {note_id} was tampered with: {what}; look closer with `roost verify --content`")
        self.note_id = note_id


class ClaimError(RoostError):
    """The work for a key could not be done."""


class SelfWait(ClaimError):
    """A computation asked for its own key, and would wait for itself for ever; give the inner work another key."""


class ComputeTimeout(ClaimError):
    """A computation took longer than its time limit."""


class EffectError(RoostError):
    """An outside effect did not end well."""


class EffectUnknown(EffectError):
    """Nobody knows whether an outside effect has happened: it is not repeated until a person has settled it."""

    retryable = False

    def __init__(self, key: str, why: str) -> None:
        super().__init__(
            f"the effect {key!r} {why}: find out what has happened outside, and say so: "
            "roost dead settle, or flock.settle_effect"
        )
        self.effect = key


class EffectBusy(EffectError):
    """Another delivery or program is carrying the effect out just now; ask again when it has ended."""

    retry_after = 1.0

    def __init__(self, key: str) -> None:
        super().__init__(f"the effect {key!r} is being carried out just now: ask again when that has ended")
        self.key = key


class NotDone(EffectError):
    """The effect has not happened, and may be tried again: raised by its action, which must be sure of it."""


class Closed(RoostError):
    """That is closed already; open the flock again."""
