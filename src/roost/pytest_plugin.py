"""Recorded runs as the regression tests of those who wrote the actors: the fixture `replayed_run` of pytest.

pytest loads this module whenever it starts, so nothing of Roost is imported before a test asks for a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from roost.actors.replay import FiledRun, Replay


@pytest.fixture
def replayed_run(request: pytest.FixtureRequest) -> Iterator[Callable[[str | Path], Replay]]:
    """Opens a run that `roost export` wrote: `replay = replayed_run("runs/research.roost")`.

    A path is from the folder of the test's file. No server and no model is needed. Then
    `check = await replay.check(Editor())`, and `assert not check.divergences`: a failing test names them.
    """
    opened: list[FiledRun] = []

    def open_run(path: str | Path) -> Replay:
        from roost.actors.replay import Check, FiledRun, Replay
        from roost.streams.run_file import RunFileUnusable

        class ToldReplay(Replay):
            """A failing test shows what its checks found, whatever it asserts of them."""

            async def check(self, *actors: Any, **how: Any) -> Check:
                found = await super().check(*actors, **how)
                item: pytest.Item = request.node
                item.add_report_section("call", "check", str(found))
                return found

        try:
            filed = FiledRun(request.path.parent / path)
        except RunFileUnusable as error:
            pytest.fail(str(error), pytrace=False)
        opened.append(filed)
        return ToldReplay(filed)

    yield open_run
    for filed in opened:
        filed.close()
