"""betterdb-agent-cache: check, ask the model on a miss, store."""

from betterdb_agent_cache import AgentCache, TierDefaults
from betterdb_agent_cache.types import AgentCacheOptions, AnalyticsOptions
from valkey.asyncio import Valkey

from benchmarks.peers.question import URL, model, serve_coroutines

cache = AgentCache(
    AgentCacheOptions(
        client=Valkey.from_url(URL),
        tier_defaults={"llm": TierDefaults(ttl=3600)},
        analytics=AnalyticsOptions(disabled=True),  # it would tell its makers
    )
)


async def ask(question):
    request = {"model": "slow", "messages": [{"role": "user", "content": question}], "temperature": 0}
    found = await cache.llm.check(request)
    if found.hit:
        return found.response
    answer = await model.think(question)
    await cache.llm.store(request, answer)
    return answer


serve_coroutines(ask)
