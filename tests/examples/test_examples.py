"""Every example runs as it stands, and prints what it is there to show."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from roost_tests.newcomer import Newcomer

LONGEST = 60


@pytest.fixture
def examples(root: Path) -> Path:
    return root / "examples"


async def test_once_downloads_once_and_then_never_again(newcomer: Newcomer, examples: Path) -> None:
    first = (await newcomer.python(examples / "01_once.py")).splitlines()
    again = (await newcomer.python(examples / "01_once.py")).splitlines()
    text = "What https://example.com/guide says about nests."
    shared = {f"{agent} has: {text}" for agent in ("robin", "wren", "finch")} | {"notes: 1"}
    assert (first[0], set(first[1:])) == ("downloading https://example.com/guide", shared)
    assert set(again) == shared


async def test_actors_pass_a_note_by_its_id(newcomer: Newcomer, examples: Path) -> None:
    lines = (await newcomer.python(examples / "02_actors.py")).splitlines()
    assert sorted(lines) == ["owls: 4 words, stored by Librarian", "wrens: 5 words, stored by Librarian"]


async def test_keyed_state_is_there_for_the_next_event_and_the_next_run(newcomer: Newcomer, examples: Path) -> None:
    def of(nest: str, out: str) -> list[str]:
        return [line for line in out.splitlines() if line.startswith(nest)]

    first = await newcomer.python(examples / "03_keyed_state.py")
    again = await newcomer.python(examples / "03_keyed_state.py")
    assert of("oak", first) == of("oak", again) == ["oak: 0 +3", "oak: 3 -1", "oak: 2 -2"]
    assert (of("reed", first), of("reed", again)) == (["reed: 0 +2"], ["reed: 2 +2"])


async def test_a_watcher_sees_the_notes_it_asked_for_and_no_others(newcomer: Newcomer, examples: Path) -> None:
    out = await newcomer.python(examples / "04_watch.py")
    assert out.splitlines() == [
        "robin saw a heron (sighting/marsh)",
        "wren saw an owl (sighting/barn)",
        "wren saw a bittern (sighting/reed)",
    ]


async def test_words_are_counted_once_for_all_runs(newcomer: Newcomer, examples: Path) -> None:
    first = (await newcomer.python(examples / "05_wordcount_mapreduce.py")).splitlines()
    again = (await newcomer.python(examples / "05_wordcount_mapreduce.py")).splitlines()
    assert sorted(first[:3]) == [
        "counting: a wren and an owl",
        "counting: an owl and a robin",
        "counting: the wren sings",
    ]
    assert first[3:] == again == [
        "a {'a': 2, 'an': 2, 'and': 2}",
        "o {'owl': 2}",
        "r {'robin': 1}",
        "s {'sings': 1}",
        "t {'the': 1}",
        "w {'wren': 2}",
    ]  # fmt: skip


async def test_a_projection_is_followed_and_read(newcomer: Newcomer, examples: Path) -> None:
    for notes in (1, 2):  # a flock keeps what it has
        lines = (await newcomer.python(examples / "16_projection.py")).splitlines()
        alice, bob = f"alice: {2 * notes} notes, {32 * notes} bytes", f"bob: {notes} notes, {12 * notes} bytes"
        assert lines == [alice, bob, "behind the log by 0 events"]


async def test_a_run_is_done_again_and_a_changed_actor_shows(newcomer: Newcomer, examples: Path) -> None:
    lines = (await newcomer.python(examples / "17_replay.py")).splitlines()
    assert lines == ["looking at owls see owls", "[]", "event[0].data.words was 3 is 2"]


async def test_of_three_processes_one_computes(newcomer: Newcomer, examples: Path) -> None:
    lines = (await newcomer.python(examples / "06_processes.py")).splitlines()
    computed = [line.removesuffix(" computes") for line in lines if line.endswith(" computes")]
    assert len(computed) == 1
    assert {f"{agent} has 42, computed by {computed[0]}" for agent in ("robin", "wren", "finch")} <= set(lines)


async def test_a_shared_function_embeds_each_text_once(newcomer: Newcomer, examples: Path) -> None:
    heron, egret = [0.81, 0.79, 0.89, 0.87], [0.79, 0.8, 0.89, 0.79]
    first = (await newcomer.python(examples / "07_shared_function.py")).splitlines()
    again = (await newcomer.python(examples / "07_shared_function.py")).splitlines()
    fed = ["Bird(name='wren', weight=19.0)", "{'name': 'wren', 'weight': 19.0} True"]
    assert sorted(first[:2]) == ["embedding 'egret'", "embedding 'heron'"]
    assert first[2:] == [str([heron, heron, egret]), str(heron), "feeding wren", *fed]
    assert again == [str([heron, heron, egret]), str(heron), *fed]


async def test_what_fails_is_tried_again_and_what_keeps_failing_is_parked(newcomer: Newcomer, examples: Path) -> None:
    out = await newcomer.python(examples / "08_retries.py")
    attempts = Counter(re.findall(r"^to (.+), attempt \d$", out, re.MULTILINE))
    assert attempts == {"the barn": 2, "the moon": 3}
    assert "the barn has it" in out.splitlines()
    assert out.splitlines()[-1] == "lost: too much wind, 3 times"
    assert re.search(r"^Pigeon .* 1$", await newcomer.roost("status"), re.MULTILINE), "one is parked"


async def test_a_model_is_asked_once_for_the_same_answer(newcomer: Newcomer, examples: Path) -> None:
    out = await newcomer.python(examples / "09_models.py")
    assert out.splitlines() == [
        "Barn owls hunt by ear. [1]",
        "same note: True; built on the text: True",
        "model: offline; calls: 1; cost: $0",
    ]


async def test_workers_in_other_processes_add_up(newcomer: Newcomer, examples: Path) -> None:
    async with at_work(newcomer, examples / "10_workers.py", "--processes", "2", "--flock", "example-workers"):
        out = await newcomer.python(examples / "10_workers.py")
    assert re.fullmatch(r"1 \+ 2 \+ … \+ 100 = 5050, by [12] processes\n", out)


@asynccontextmanager
async def at_work(newcomer: Newcomer, *words: str | Path) -> AsyncGenerator[None]:
    """`roost work` while the block runs; its workers have begun. Stopped, it must end well."""
    process = await newcomer.start(*newcomer.command("work", *words))
    assert process.stderr is not None
    try:
        async with asyncio.timeout(30):
            while b"worker 2" not in (line := await process.stderr.readline()):
                assert line, "roost work has ended"
        yield
        process.terminate()
        async with asyncio.timeout(30):
            _, err = await process.communicate()
        assert process.returncode == 0, err.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_an_append_with_a_stale_version_is_refused(newcomer: Newcomer, examples: Path) -> None:
    out = await newcomer.python(examples / "11_log.py")
    assert out.splitlines() == [
        "robin sits on the gate",
        "wren is too late: perch/gate is at version 1",
        "version 1: perch.taken {'perch': 'gate', 'bird': 'robin'} by robin",
    ]


async def test_two_mcp_clients_share_one_piece_of_work(newcomer: Newcomer, examples: Path) -> None:
    out = await newcomer.python(examples / "12_mcp.py")
    assert out.splitlines() == [
        "robin: yours",
        "wren: held by robin, who is reading the guide",
        "wren has it: Nests are built in spring. (robin)",
    ]


async def test_the_openai_client_asks_its_provider_once(newcomer: Newcomer, examples: Path) -> None:
    answer = "By ear, at night."
    lines = (await newcomer.python(examples / "13_openai_client.py")).splitlines()
    assert lines[0] == "the provider is asked"
    first, second = sorted(lines[1:3], key=lambda line: line.endswith("(joined)"))  # either may be the one who asks
    assert {first.partition(":")[0], second.partition(":")[0]} == {"robin", "wren"}
    assert first.endswith(f": {answer} (computed)")
    assert second.endswith(f": {answer} (joined)")
    assert lines[3:] == [
        f"finch: {answer} (found)",
        "the provider is asked",
        f"heron, a second opinion: {answer} (computed)",
    ]


async def test_a_page_and_a_file_are_read_once_and_again_when_they_have_changed(
    newcomer: Newcomer, examples: Path
) -> None:
    out = await newcomer.python(examples / "14_fetch_and_read.py")
    assert out.splitlines() == [
        "downloaded",
        "1 note",
        "asked whether it has changed",
        "True They hear a mouse under the snow.",
        "text/markdown # Storks",
        "They have flown.",
    ]


async def test_who_reads_a_note_links_to_who_wrote_it(newcomer: Newcomer, examples: Path) -> None:
    out = await newcomer.python(examples / "18_traces.py")
    (found, note), (forward, same) = [line.split(" -> ") for line in out.splitlines()]
    assert re.fullmatch(r"search_memory of bob, note [0-9a-f]{6}", found)
    assert note == found.replace("search_memory of bob", "upsert_memory of alice")
    assert (forward, same) == (found.replace("search_memory", "note.reused"), found)


def test_every_example_is_short_numbered_and_run_here(examples: Path) -> None:
    files = sorted(examples.glob("[0-9]*.py"))
    others = [file for file in examples.glob("*.py") if file not in files]
    plain = (Path(__file__).parent / "test_plain_agents.py").read_text("utf-8")
    assert [file.name for file in others if f'"{file.name}"' not in plain] == []
    assert [int(file.name[:2]) for file in files] == list(range(1, len(files) + 1))
    tests = "".join(
        tests.read_text("utf-8")
        for tests in (Path(__file__), Path(__file__).parents[1] / "kafka" / "test_documented.py")  # needs a broker
    )
    assert [file.name for file in files if f'"{file.name}"' not in tests] == []
    lengths = {file.name: file.read_text("utf-8").count("\n") for file in [*files, *others]}
    assert {name: lines for name, lines in lengths.items() if lines >= LONGEST} == {}


async def test_a_mail_goes_out_once_however_often_its_delivery_is_tried(newcomer: Newcomer, examples: Path) -> None:
    for number in (1, 2):
        lines = (await newcomer.python(examples / "15_effects_and_timers.py")).splitlines()
        assert lines == [
            f"a mail goes out: bill/{number}",
            f"attempt 2 goes on with message-bill/{number}",
            f"a mail goes out: bill/{number}/reminder",
        ]
