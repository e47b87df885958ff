"""Roost's own job: a flock reads documents and answers questions about them."""

from .budget import Budget, BudgetSpent
from .edit import Answer, cited, edit, name_missing
from .reader import DocumentOffered, DocumentOpened, Reader
from .report import Report
from .run import LEASE, agents_for, end, follow, model_for, start, unfinished, working
from .spec import Mode, RunEnded, RunHalted, RunStarted

__all__ = [
    "LEASE",
    "Answer",
    "Budget",
    "BudgetSpent",
    "DocumentOffered",
    "DocumentOpened",
    "Mode",
    "Reader",
    "Report",
    "RunEnded",
    "RunHalted",
    "RunStarted",
    "agents_for",
    "cited",
    "edit",
    "end",
    "follow",
    "model_for",
    "name_missing",
    "start",
    "unfinished",
    "working",
]
