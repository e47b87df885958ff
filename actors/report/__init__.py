"""Roost's own job: a flock reads documents and answers questions about them."""

from .budget import Budget, BudgetSpent
from .conductor import CONDUCTOR_LEASE, Baton, ConductorReplaced, RunUnderWay, conducting, is_conducted
from .edit import Answer, cited, edit, name_missing
from .reader import DocumentOffered, DocumentOpened, Reader
from .report import Report
from .run import (
    LEASE,
    agents_for,
    end,
    ending_of,
    follow,
    go_on,
    model_for,
    start,
    take_inboxes_away,
    unfinished,
    working,
)
from .spec import Mode, RunEnded, RunHalted, RunResumed, RunStarted

__all__ = [
    "CONDUCTOR_LEASE",
    "LEASE",
    "Answer",
    "Baton",
    "Budget",
    "BudgetSpent",
    "ConductorReplaced",
    "DocumentOffered",
    "DocumentOpened",
    "Mode",
    "Reader",
    "Report",
    "RunEnded",
    "RunHalted",
    "RunResumed",
    "RunStarted",
    "RunUnderWay",
    "agents_for",
    "cited",
    "conducting",
    "edit",
    "end",
    "ending_of",
    "follow",
    "go_on",
    "is_conducted",
    "model_for",
    "name_missing",
    "start",
    "take_inboxes_away",
    "unfinished",
    "working",
]
