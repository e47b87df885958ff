"""The course of a run: nothing is lost when its stretches become longer."""

from __future__ import annotations

from roost.projections.course import MAX_POINTS, CourseFold
from roost.projections.recorded import RecordedWork

WORK = RecordedWork("summary", 500_000, "m", calls=1, input_tokens=9, output_tokens=3)


def test_the_last_point_has_all_that_was_spent_and_saved_however_long_the_run() -> None:
    course = CourseFold()
    for number in range(2000):
        course.spent(number * 7, WORK)
        course.saved(number * 7 + 3, WORK)
    points = course.points(2000 * 7)
    assert (points[-1].spent["calls"], points[-1].saved["tokens"]) == (2000, 24_000)
    assert len(points) <= MAX_POINTS
    assert [point.spent["calls"] for point in points] == sorted(point.spent["calls"] for point in points)
