"""A worker in this process: the solo pool."""

from celery.signals import worker_ready

from benchmarks.console import Console
from benchmarks.peers.celery_app import app, tally

console = Console(tally=tally.answer)  # before celery prints its greeting


@worker_ready.connect
def ready(**_):
    console.start()


app.worker_main(["worker", "--pool=solo", "--loglevel=ERROR", "--without-gossip", "--without-mingle"])
