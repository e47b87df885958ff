"""The reels of a process: a few, for those who look at the past at present."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import replace
from uuid import uuid4

import streamlit as st

from roost.dashboard.desk import Desk
from roost.dashboard.view import View
from roost.streams import RoostError

from .reel import Reel

MOST = 8
"""Reels that are kept: some megabytes each. Whose reel was let go winds anew."""
OVERLAP = 40
"""Moments that are handed over once more, should a hand-over have been lost."""
FAR = 2**62


class Reels:
    """By the session that looks. Any thread may ask."""

    def __init__(self, most: int = MOST) -> None:
        self._lock = threading.Lock()
        self._reels: OrderedDict[str, Reel] = OrderedDict()
        self._most = most

    def of(self, session: str) -> Reel:
        """The session's reel."""
        with self._lock:
            reel = self._reels.pop(session, None) or Reel()
            self._reels[session] = reel
            while len(self._reels) > self._most:
                self._reels.popitem(last=False)
            return reel


_reels = Reels()


def past_view(desk: Desk, at_ms: int) -> View:
    """What Live shows for this session as of the end of a millisecond. What is in the way is told as an outage is."""
    session: str = st.session_state.setdefault("reel", uuid4().hex)
    turn, seen = st.session_state.get("reel moment", (0, 0))
    reel = _reels.of(session)
    live = desk.feed.look(FAR)
    with desk.annals.reading() as annals:
        generation, course = annals.generation, annals.events.course()
        before = course.times.by(at_ms) if course is not None else 0
    why: str | None = None
    try:
        desk.look(lambda shards: reel.look(shards, at_ms, generation=generation))
    except RoostError as error:
        why = str(error)
    view = reel.view(live, before, max(0, seen - OVERLAP) if turn == reel.turn else 0)
    st.session_state["reel moment"] = view.turn, view.number
    if why is None or view.away is not None:
        return replace(view, at_ms=at_ms)
    return replace(view, at_ms=at_ms, away=why, away_since_ms=round(time.time() * 1000))
