"""How the flock and its server stand at this moment, and what is wrong with them, in plain words."""

from .alert import Alert, Severity
from .alerts import alerts_of
from .standing import Room, Standing, Standings

__all__ = ["Alert", "Room", "Severity", "Standing", "Standings", "alerts_of"]
