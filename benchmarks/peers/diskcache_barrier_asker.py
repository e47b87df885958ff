"""diskcache: the same behind a lock, which lets one in at a time, whatever it asks."""

from diskcache import Cache, Lock, barrier

from benchmarks.peers.question import DIRECTORY, model, serve_threads

cache = Cache(DIRECTORY)


@barrier(cache, Lock)
@cache.memoize()
def ask(question):
    return model.think_in_thread(question)


serve_threads(ask)
