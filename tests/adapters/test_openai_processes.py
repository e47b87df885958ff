"""Programs that change one line: their import. Each runs in a process of its own, with warnings as errors."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from roost_tests.asking import ANSWER
from roost_tests.crew import events_of
from roost_tests.fake_openai import run_fake_openai

from roost.actors import Flock
from roost.streams.server import stop_server

SCRIPT = """
import asyncio, sys
from openai import AsyncOpenAI

async def main():
    client = AsyncOpenAI()
    stream = await client.chat.completions.create(
        model="gpt-x",
        messages=[{"role": "user", "content": "Barn owls hunt by ear. They see well, too."}],
        stream=True,
    )
    async for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
    print()

asyncio.run(main())
"""
SHARED = SCRIPT.replace("from openai import", "from roost.openai import")
assert sum(old != new for old, new in zip(SCRIPT.splitlines(), SHARED.splitlines(), strict=True)) == 1


@dataclass
class Programs:
    """Runs programs that ask the provider at `base_url`."""

    place: Path
    base_url: str
    settings: dict[str, str]
    number: int = 0
    started: list[asyncio.subprocess.Process] = field(default_factory=list[asyncio.subprocess.Process])

    async def start(self, text: str) -> asyncio.subprocess.Process:
        self.number += 1
        path = self.place / f"program_{self.number}.py"
        path.write_text(textwrap.dedent(text), "utf-8")
        passed_on = {name: value for name, value in os.environ.items() if not name.startswith(("ROOST_", "OPENAI_"))}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", str(path), stdout=pipe, stderr=pipe, cwd=self.place,
            env=passed_on | self.settings | {"OPENAI_BASE_URL": self.base_url, "OPENAI_API_KEY": "sk-test"},
        )  # fmt: skip
        self.started.append(process)
        return process

    async def run(self, *texts: str) -> list[tuple[str, str]]:
        """What each writes to standard output and standard error; they run at the same time and must end well."""
        processes = [await self.start(text) for text in texts]
        async with asyncio.timeout(60):
            said = [await process.communicate() for process in processes]
        assert [process.returncode for process in processes] == [0] * len(texts), said
        return [(out.decode(), err.decode()) for out, err in said]

    async def calls(self) -> int:
        with await asyncio.to_thread(urllib.request.urlopen, self.base_url.removesuffix("/v1") + "/calls") as reply:
            facts: dict[str, Any] = json.load(reply)
        return int(facts["calls"])


@pytest.fixture
def programs(tmp_path: Path, server_url: str, flock_name: str) -> Iterator[Programs]:
    with run_fake_openai("--latency-ms", "300", "--pause-ms", "30") as base_url:
        yield (made := Programs(tmp_path, base_url, {"ROOST_URL": server_url, "ROOST_FLOCK": flock_name}))
        for process in made.started:
            if process.returncode is None:
                process.kill()


@pytest.fixture
async def looker(server_url: str, flock_name: str) -> Any:
    async with Flock.open(flock_name, server_url, agent="looker") as flock:
        yield flock


async def test_an_existing_program_is_shared_by_changing_its_import(programs: Programs) -> None:
    before = await programs.run(SCRIPT, SCRIPT)
    assert await programs.calls() == 2
    after = await programs.run(SHARED, SHARED)
    assert await programs.calls() == 3
    assert after == before == [(f"{ANSWER}\n", "")] * 2
    assert await programs.run(SHARED) == after[:1]
    assert await programs.calls() == 3


async def test_who_asked_is_the_program_by_its_name(programs: Programs, looker: Flock) -> None:
    await programs.run(SHARED)
    await programs.run(SHARED)
    (written,) = await events_of(looker, "note.written")
    (reused,) = await events_of(looker, "work.reused")
    assert (written.actor, reused.actor) == ("program_1", "program_2")


async def test_without_any_setting_it_shares_on_roost_s_own_server(programs: Programs) -> None:
    home = programs.place / "home"
    programs.settings = {"ROOST_HOME": str(home)}
    try:
        assert await programs.run(SHARED, SHARED) == [(f"{ANSWER}\n", "")] * 2
        assert await programs.calls() == 1
    finally:
        await stop_server(home)


async def test_clients_hold_one_flock_and_the_last_one_closes_it(programs: Programs) -> None:
    [(out, err)] = await programs.run("""
        import asyncio, gc
        from roost.adapters.openai import door
        from roost.openai import AsyncOpenAI

        async def ask(client, word):
            await client.embeddings.create(model="e", input=word)

        def is_open():
            return [task for task in asyncio.all_tasks() if task.get_name() == "roost openai flock"]

        async def main():
            first = AsyncOpenAI()
            async with AsyncOpenAI() as second:
                await asyncio.gather(ask(first, "a"), ask(second, "b"), ask(first.with_options(sample=1), "a"))
                print(len(is_open()))
            print(len(is_open()))
            await first.with_options(timeout=3.0).close()
            print(len(is_open()))
            third = AsyncOpenAI()
            await ask(third, "a")
            print(len(is_open()))

        for _ in range(2):
            asyncio.run(main())
        gc.collect()
        print(len(door._keepers))
    """)
    assert (out.split(), err) == (["1", "1", "0", "1"] * 2 + ["0"], "")
    assert await programs.calls() == 3


async def test_a_program_that_fails_in_the_middle_of_a_stream_keeps_nobody_waiting(
    programs: Programs, looker: Flock
) -> None:
    failing = await programs.start(SHARED.replace("print(choice", "1 / 0; print(choice"))
    _, err = await failing.communicate()
    assert failing.returncode == 1
    assert err.decode().splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert err.decode().count("Traceback") == 1
    assert await events_of(looker, "note.written") == []
    assert len(await events_of(looker, "work.failed")) == 1  # its claim was given up: nobody waits for the lease
    await programs.run(SHARED)
    assert await programs.calls() == 2


async def test_a_program_that_is_interrupted_keeps_nobody_waiting(programs: Programs, looker: Flock) -> None:
    interrupted = await programs.start(SHARED)
    assert interrupted.stdout is not None
    assert await interrupted.stdout.readexactly(4) == b"You "
    interrupted.send_signal(signal.SIGINT)
    _, err = await interrupted.communicate()
    assert err.decode().splitlines()[-1] == "KeyboardInterrupt"
    assert err.decode().count("Traceback") == 2  # the cancellation, and the interrupt
    assert len(await events_of(looker, "work.failed")) == 1
    assert await events_of(looker, "note.written") == []


async def test_when_the_one_who_asks_is_killed_another_asks_in_its_place(programs: Programs, looker: Flock) -> None:
    text = """
        import asyncio, sys
        from datetime import timedelta
        from roost import Flock
        from roost.openai import AsyncOpenAI

        async def main():
            async with Flock.open(claim_lease=timedelta(seconds=1)) as flock:
                client = AsyncOpenAI(flock=flock)
                messages = [{"role": "user", "content": "Barn owls hunt by ear. They see well, too."}]
                stream = await client.chat.completions.create(model="gpt-x", messages=messages, stream=True)
                async for chunk in stream:
                    print(chunk.choices[0].delta.content or "", end="", flush=True)

        asyncio.run(main())
    """
    with run_fake_openai("--fail", "stall:1") as programs.base_url:
        first, second = await programs.start(text), await programs.start(text)
        assert first.stdout is not None
        assert second.stdout is not None
        heard = {asyncio.create_task(each.stdout.readexactly(4)): each for each in (first, second) if each.stdout}
        done, _ = await asyncio.wait(heard, return_when=asyncio.FIRST_COMPLETED)
        leader = heard[done.pop()]
        waiter = second if leader is first else first
        leader.kill()
        async with asyncio.timeout(60):
            await leader.communicate()
            [rest] = [task for task in heard if heard[task] is waiter]
            said = await rest + (await waiter.communicate())[0]
        assert (said.decode(), waiter.returncode) == (ANSWER, 0)
        assert await programs.calls() == 2
