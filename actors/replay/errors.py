"""What stands in the way of a replay."""

from __future__ import annotations

from roost.streams import RoostError


class NotRecorded(RoostError):
    """A handler asks for something that it did not ask for when its delivery was recorded: nobody can answer it now."""

    retryable = False


class NotReplayable(RoostError):
    """A recorded run does not tell enough to be done again."""
