"""A model's answer is a note too: the same question over the same notes is asked once, and its cost is in the log.

    python examples/09_models.py
    ROOST_MODEL=openai/gpt-5-mini OPENAI_API_KEY=… python examples/09_models.py

Without ROOST_MODEL the model is `offline`: it picks whole sentences and needs no key.
"""

from __future__ import annotations

import asyncio

from roost import Flock
from roost.actors import Ask

TEXT = """\
Barn owls hunt by ear. Their face is a disc that gathers sound. A barn owl can find a mouse in complete darkness.
Wrens build several nests, and the female chooses one of them. Herons stand still for a long time before they strike.
"""


async def main() -> None:
    async with Flock.open("example-models") as flock:
        text = await flock.memory.put(TEXT, key="birds")
        ask = Ask(instructions="Answer in one sentence.", question="How do barn owls hunt?", sentences=1)
        first = await flock.complete(ask, text)
        again = await flock.complete(ask, text)
        print(first.text)
        print(f"same note: {first.id == again.id}; built on the text: {text.id in first.sources}")
        work = first.work or {}
        print(f"model: {work['model']}; calls: {work['calls']}; cost: ${work['cost_usd']}")


asyncio.run(main())
