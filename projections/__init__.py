"""What is read: folds of the log into figures, notes, lineage and runs, which can be thrown away and made again."""

from .activity import Activity
from .comparison import Compared, compare
from .course import Point
from .critical_path import CriticalPath, Step
from .difference import Difference, compare_with_server
from .figures import ByteFigures, Figures, ModelFigures, SavedFigures, WorkFigures
from .folder import Folder, ProjectionStopped
from .folding import Fold, fold
from .follower import Follower
from .lineage import Ancestor, Branch, Lineage, Use
from .notes import ListedNote, NotesFold
from .projection import OnPoison, Projection
from .quantiles import Quantiles
from .recent import lapsed, recent_activity, recent_events
from .recorded import OddData, RecordedWork
from .report import RunReport
from .report_fold import ReportFold, report_of
from .reuse_edges import ReuseEdge
from .rows import HeldRows, Rows
from .runs import RunsFold, RunState
from .seen import AgentCounts, AgentId, AgentState, SeenNote, Task, Thread
from .sharing import Sharing
from .shipped import (
    Agents,
    AgentSeen,
    Lineages,
    Reuse,
    ReuseBetween,
    Runs,
    Usage,
    UsageKey,
    UsageRow,
    read_agents,
    read_lineage,
    read_reuse,
    read_runs,
    read_usage,
)
from .tally import Tally, figures_of
from .timeline import Interval, Timeline
from .versions import VersionsFold
from .view import Lag, View, ViewReplaced, view_of

__all__ = [
    "Activity",
    "AgentCounts",
    "AgentId",
    "AgentSeen",
    "AgentState",
    "Agents",
    "Ancestor",
    "Branch",
    "ByteFigures",
    "Compared",
    "CriticalPath",
    "Difference",
    "Figures",
    "Fold",
    "Folder",
    "Follower",
    "HeldRows",
    "Interval",
    "Lag",
    "Lineage",
    "Lineages",
    "ListedNote",
    "ModelFigures",
    "NotesFold",
    "OddData",
    "OnPoison",
    "Point",
    "Projection",
    "ProjectionStopped",
    "Quantiles",
    "RecordedWork",
    "ReportFold",
    "Reuse",
    "ReuseBetween",
    "ReuseEdge",
    "Rows",
    "RunReport",
    "RunState",
    "Runs",
    "RunsFold",
    "SavedFigures",
    "SeenNote",
    "Sharing",
    "Step",
    "Tally",
    "Task",
    "Thread",
    "Timeline",
    "Usage",
    "UsageKey",
    "UsageRow",
    "Use",
    "VersionsFold",
    "View",
    "ViewReplaced",
    "WorkFigures",
    "compare",
    "compare_with_server",
    "figures_of",
    "fold",
    "lapsed",
    "read_agents",
    "read_lineage",
    "read_reuse",
    "read_runs",
    "read_usage",
    "recent_activity",
    "recent_events",
    "report_of",
    "view_of",
]
