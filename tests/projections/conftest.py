"""A session of real use, for the tests that hold the documents against it."""

from __future__ import annotations

from pathlib import Path

import pytest
from roost_tests.session import Session, play_session


@pytest.fixture(scope="module")
def played() -> list[Session]:
    """The session, once it has been played: the tests of a module only look at it."""
    return []


@pytest.fixture
async def session(played: list[Session], server_url: str, flock_name: str, tmp_path: Path) -> Session:
    """What a session has left on the shared server; its flock is closed."""
    if not played:
        played.append(await play_session(server_url, flock_name, tmp_path))
    return played[0]
