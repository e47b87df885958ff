"""What is read: folds of the log into figures, notes, lineage and runs, which can be thrown away and made again."""

from .activity import Activity
from .descent import DescentFold
from .difference import Difference, compare_with_server
from .figures import ByteFigures, Figures, ModelFigures, SavedFigures, WorkFigures
from .folding import Fold, fold
from .lineage import Ancestor, Branch, Lineage, Use
from .notes import ListedNote, NotesFold
from .projection import OnPoison, Projection
from .recent import lapsed, recent_activity, recent_events
from .recorded import OddData, RecordedWork
from .rows import HeldRows, Rows
from .runs import RunsFold, RunState
from .seen import AgentCounts, AgentId, AgentState, SeenNote, Task, Thread
from .tally import Tally, figures_of

__all__ = [
    "Activity",
    "AgentCounts",
    "AgentId",
    "AgentState",
    "Ancestor",
    "Branch",
    "ByteFigures",
    "DescentFold",
    "Difference",
    "Figures",
    "Fold",
    "HeldRows",
    "Lineage",
    "ListedNote",
    "ModelFigures",
    "NotesFold",
    "OddData",
    "OnPoison",
    "Projection",
    "RecordedWork",
    "Rows",
    "RunState",
    "RunsFold",
    "SavedFigures",
    "SeenNote",
    "Tally",
    "Task",
    "Thread",
    "Use",
    "WorkFigures",
    "compare_with_server",
    "figures_of",
    "fold",
    "lapsed",
    "recent_activity",
    "recent_events",
]
