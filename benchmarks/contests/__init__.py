"""What is measured, in the order of the table."""

from benchmarks.contest import Contest

from .append_hundred import APPEND_HUNDRED
from .append_single import APPEND_SINGLE_100, APPEND_SINGLE_1000
from .cached_read import CACHED_READ
from .help_text import HELP_TEXT
from .idle_start import IDLE_START
from .keyed_actor import KEYED_ACTOR
from .more_processes import MORE_PROCESSES
from .noop_actor import NOOP_ACTOR
from .note_read import NOTE_READ
from .same_question import SAME_QUESTION
from .single_flight import SINGLE_FLIGHT

CONTESTS: tuple[Contest, ...] = (
    APPEND_SINGLE_100,
    APPEND_SINGLE_1000,
    APPEND_HUNDRED,
    NOOP_ACTOR,
    KEYED_ACTOR,
    IDLE_START,
    NOTE_READ,
    CACHED_READ,
    SINGLE_FLIGHT,
    MORE_PROCESSES,
    HELP_TEXT,
    SAME_QUESTION,
)

__all__ = ["CONTESTS"]
