"""Roost's own job: a flock reads documents and answers questions about them."""

from .budget import Budget, BudgetSpent
from .conductor import CONDUCTOR_LEASE, ConductorReplaced, RunUnderWay, conducting
from .edit import Answer, cited, edit, name_missing
from .reader import DocumentOffered, DocumentOpened, Reader
from .report import Report
from .run import LEASE, agents_for, end, follow, model_for, start, unfinished, working
from .spec import Mode, RunEnded, RunHalted, RunResumed, RunStarted

__all__ = [
    "CONDUCTOR_LEASE",
    "LEASE",
    "Answer",
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
    "follow",
    "model_for",
    "name_missing",
    "start",
    "unfinished",
    "working",
]
