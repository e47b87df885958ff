"""What is read: folds of the log into figures, notes, lineage and runs, which can be thrown away and made again."""

from .figures import ByteFigures, Figures, ModelFigures, SavedFigures, WorkFigures
from .folding import Fold, fold
from .recorded import OddData, RecordedWork
from .tally import Tally, figures_of

__all__ = [
    "ByteFigures",
    "Figures",
    "Fold",
    "ModelFigures",
    "OddData",
    "RecordedWork",
    "SavedFigures",
    "Tally",
    "WorkFigures",
    "figures_of",
    "fold",
]
