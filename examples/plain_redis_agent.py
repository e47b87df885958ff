"""An agent with nothing but a Redis client: it counts the words of pages. docs/wire.md says what it does, and why.

python -m roost.streams.assemble scripts      (once, where Roost is installed: its scripts, as files)
python examples/plain_redis_agent.py unix:///home/me/.roost/server.sock example-plain scripts
"""

import asyncio
import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any, cast

from redis.asyncio import Redis

INBOX, ME, TO = "plain-counter", secrets.token_hex(8), object()  # TO: the inboxes that an event goes to


async def work(url: str, flock: str, texts: dict[str, str]) -> None:
    redis = cast(Any, Redis).from_url(url, decode_responses=True)
    prefix = f"roost:{{{flock}.0}}:"

    async def call(name: str, *arguments: Any) -> Any:
        return await redis.eval(texts[name], 1, prefix + "log", *arguments)

    async def append(name: str, kind: str, run: str | None, *arguments: Any) -> Any:
        while True:
            generation, routes = await redis.hget(prefix + "meta", "generation"), await redis.hgetall(prefix + "routes")
            takes = {inbox: json.loads(text) for inbox, text in routes.items()}
            to = [inbox for inbox, each in takes.items() if kind in each["types"] and each["run"] in (None, run)]
            answer = await call(name, generation, *[",".join(to) if each is TO else each for each in arguments])
            if answer[0] != "routes":  # else: who wants such events has changed, or for a moment nothing is written
                return answer
            await asyncio.sleep(0.01)

    async def handle(entry: str, count: int, fields: dict[str, str]) -> None:
        found, origin = json.loads(fields["data"]), json.loads(fields["meta"])
        run = {"run": origin["run"]} if "run" in origin else {}
        common = {"time": time.time_ns() // 1_000_000, "actor": INBOX, "cause": origin["id"], **run}
        read, meta = (json.dumps({"id": secrets.token_hex(12), **common}) for _ in range(2))
        page = await append("read", "note.read", run.get("run"), "id", found["note"], read, TO, *[""] * 7)
        told = [meta, json.dumps({"name": found["name"], "words": len(page[5].split())})]
        unit = [2, "D", INBOX, ME, entry, count, "e", f"actor/{INBOX}", "page.counted", *told]  # both, or neither
        call_id = [secrets.token_hex(12), 1, secrets.token_hex(12), 600_000]
        print(await append("write", "page.counted", run.get("run"), *call_id, 1, *unit, TO), flush=True)

    await call("open", 1, "{}")
    await call("subscribe", INBOX, json.dumps({"types": ["page.found"], "run": None}))
    while True:
        for entry, count, flat, *_ in (await call("take_over", INBOX, ME, 15_000, "0-0", 10))[1]:  # left by the dead
            await handle(entry, count, dict(zip(flat[::2], flat[1::2], strict=True)))
        new: list[Any] = await redis.xreadgroup("workers", ME, {f"{prefix}inbox:{INBOX}": ">"}, 10, 1000) or []
        for entry, fields in new[0][1] if new else ():
            await handle(entry, 1, fields)


place, name, folder = sys.argv[1:]
asyncio.run(work(place, name, {file.stem: file.read_text() for file in Path(folder).glob("*.lua")}))
