"""Documents: found, opened, converted to text where need be, and cut into sections worth a model's call."""

from .cutting import CUTTER_VERSION, Cut, Mark, cut
from .discovery import discover
from .download import Fetched, fetch
from .errors import DocumentError
from .limits import Limits
from .measure import Measure
from .opened import Opened
from .opening import open_document
from .sample import write_language_reference
from .section import Section
from .source import Discovery, Skipped, Source

__all__ = [
    "CUTTER_VERSION",
    "Cut",
    "Discovery",
    "DocumentError",
    "Fetched",
    "Limits",
    "Mark",
    "Measure",
    "Opened",
    "Section",
    "Skipped",
    "Source",
    "cut",
    "discover",
    "fetch",
    "open_document",
    "write_language_reference",
]
