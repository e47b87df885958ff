"""diskcache: a function whose results are kept in a directory."""

from diskcache import Cache

from benchmarks.peers.question import DIRECTORY, model, serve_threads

cache = Cache(DIRECTORY)


@cache.memoize()
def ask(question):
    return model.think_in_thread(question)


serve_threads(ask)
