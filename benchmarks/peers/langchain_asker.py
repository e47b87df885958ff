"""langchain-redis: RedisCache as LangChain's cache for all models."""

from langchain_core.globals import set_llm_cache
from langchain_core.language_models import SimpleChatModel
from langchain_redis import RedisCache

from benchmarks.peers.question import URL, model, serve_coroutines


class SlowModel(SimpleChatModel):
    def _call(self, messages, stop=None, run_manager=None, **kwargs):
        return model.think_in_thread(messages[-1].content)

    @property
    def _llm_type(self):
        return "slow"

    @property
    def _identifying_params(self):
        return {"model": "slow"}


set_llm_cache(RedisCache(redis_url=URL))
chat = SlowModel()


async def ask(question):
    return await chat.ainvoke(question)


serve_coroutines(ask)
