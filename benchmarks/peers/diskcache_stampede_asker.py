"""diskcache: the same, computed anew early, now and then, so that not all find it expired at once."""

from diskcache import Cache, memoize_stampede

from benchmarks.peers.question import DIRECTORY, model, serve_threads

cache = Cache(DIRECTORY)


@memoize_stampede(cache, expire=3600)
def ask(question):
    return model.think_in_thread(question)


serve_threads(ask)
