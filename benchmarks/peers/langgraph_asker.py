"""LangGraph: a node with a cache policy, in a graph compiled with the Redis cache."""

from typing import TypedDict

from langgraph.cache.redis import RedisCache
from langgraph.graph import StateGraph
from langgraph.types import CachePolicy
from redis import Redis

from benchmarks.peers.question import URL, model, serve_coroutines


class State(TypedDict, total=False):
    question: str
    answer: str


async def think(state: State) -> State:
    return {"answer": await model.think(state["question"])}


builder = StateGraph(State)
builder.add_node("think", think, cache_policy=CachePolicy(ttl=3600))
builder.set_entry_point("think")
builder.set_finish_point("think")
graph = builder.compile(cache=RedisCache(Redis.from_url(URL)))


async def ask(question):
    return await graph.ainvoke({"question": question})


serve_coroutines(ask)
