"""GPTCache, exact matches: get, ask the model on a miss, put. Its cache is one process's own."""

from gptcache import cache
from gptcache.adapter.api import get, put
from gptcache.manager.factory import get_data_manager
from gptcache.processor.pre import get_prompt

from benchmarks.peers.question import DIRECTORY, model, serve_threads

cache.init(pre_embedding_func=get_prompt, data_manager=get_data_manager(data_path=f"{DIRECTORY}/map.txt"))


def ask(question):
    answer = get(question)
    if answer is None:
        answer = model.think_in_thread(question)
        put(question, answer)
    return answer


serve_threads(ask)
