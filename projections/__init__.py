"""What is read: folds of the log into figures, notes, lineage and runs, which can be thrown away and made again."""

from .descent import DescentFold
from .difference import Difference, compare_with_server
from .figures import ByteFigures, Figures, ModelFigures, SavedFigures, WorkFigures
from .folding import Fold, fold
from .lineage import Ancestor, Branch, Lineage, Use
from .notes import ListedNote, NotesFold
from .recorded import OddData, RecordedWork
from .runs import RunsFold, RunState
from .tally import Tally, figures_of

__all__ = [
    "Ancestor",
    "Branch",
    "ByteFigures",
    "DescentFold",
    "Difference",
    "Figures",
    "Fold",
    "Lineage",
    "ListedNote",
    "ModelFigures",
    "NotesFold",
    "OddData",
    "RecordedWork",
    "RunState",
    "RunsFold",
    "SavedFigures",
    "Tally",
    "Use",
    "WorkFigures",
    "compare_with_server",
    "figures_of",
    "fold",
]
