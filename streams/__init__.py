"""The log: events and their append, inboxes, claims, notes, expiry, settings, and the server they live on."""

from .agent_limits import AgentLimits
from .bell import Bell, Rung
from .claims import CLAIM_LEASE, Claims
from .client import CommandClient
from .connection import Connection, connect
from .errors import (
    AccessRefused,
    AgentLimitExceeded,
    ClaimError,
    Closed,
    ComputeTimeout,
    Conflict,
    ContentChanged,
    EffectBusy,
    EffectUnknown,
    InboxFull,
    LimitExceeded,
    NotDone,
    NoteNotFound,
    NotTrusted,
    OutcomeUnknown,
    RoostError,
    SelfWait,
    ServerFull,
    ServerUnavailable,
    SettingsError,
    SubjectForgotten,
    UndeclaredEvent,
)
from .event import DamagedEvent, Event, derived_id, new_id
from .inbox import Delivery, Inbox, InboxState
from .keys import Keys
from .log import Log
from .note import Note, NoteRecord
from .notes import Notes, Reader
from .permits import ModelLimits
from .position import Position
from .settings import Settings
from .shard import Shard
from .unit import Token, Unit
from .writer import Writer

# isort: split
# After the module `event`, so that the name is the decorator's.
from .declaration import decode, encode, event, upcast

__all__ = [
    "CLAIM_LEASE",
    "AccessRefused",
    "AgentLimitExceeded",
    "AgentLimits",
    "Bell",
    "ClaimError",
    "Claims",
    "Closed",
    "CommandClient",
    "ComputeTimeout",
    "Conflict",
    "Connection",
    "ContentChanged",
    "DamagedEvent",
    "Delivery",
    "EffectBusy",
    "EffectUnknown",
    "Event",
    "Inbox",
    "InboxFull",
    "InboxState",
    "Keys",
    "LimitExceeded",
    "Log",
    "ModelLimits",
    "NotDone",
    "NotTrusted",
    "Note",
    "NoteNotFound",
    "NoteRecord",
    "Notes",
    "OutcomeUnknown",
    "Position",
    "Reader",
    "RoostError",
    "Rung",
    "SelfWait",
    "ServerFull",
    "ServerUnavailable",
    "Settings",
    "SettingsError",
    "Shard",
    "SubjectForgotten",
    "Token",
    "UndeclaredEvent",
    "Unit",
    "Writer",
    "connect",
    "decode",
    "derived_id",
    "encode",
    "event",
    "new_id",
    "upcast",
]
