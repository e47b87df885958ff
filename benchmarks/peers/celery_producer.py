"""Sends tasks one after the other: there is no other way."""

from benchmarks.console import Console
from benchmarks.peers.celery_app import TEXT, handle


def enqueue(request):
    for _ in range(request["number"]):
        handle.delay(TEXT)
    return {}


Console(enqueue=enqueue).serve()
