"""celery: a task without a result, on the Redis transport."""

import sys

from celery import Celery

from benchmarks.console import Tally

URL, NAME = sys.argv[1:3]
TEXT = "x" * 289

app = Celery("bench", broker=URL)
app.conf.task_default_queue = NAME
tally = Tally()


@app.task(ignore_result=True)
def handle(text: str) -> None:
    tally.add()
