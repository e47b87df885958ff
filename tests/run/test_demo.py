"""`roost demo`: a real document of 466 kB, three questions, three processes, three ways."""

from __future__ import annotations

from typing import Any

from roost_tests.command import RoostCommand

WAYS = ("isolated", "cache", "shared")


async def test_the_demo_shows_what_a_shared_memory_saves_and_that_the_answers_stay_the_same(
    roost: RoostCommand, flock_name: str
) -> None:
    ran = await roost("demo", "--json", "--latency", "100ms", "--flock", flock_name)
    assert ran.code == 0, ran.err
    assert "a latency of 100ms a call is simulated" in ran.err
    compared: dict[str, Any] = ran.json
    assert compared["same_answers"] is True
    sections = compared["shared"]["sections"]
    assert sections > 200
    assert {compared[way]["sections"] for way in WAYS} == {sections}
    calls = {way: compared[way]["model"]["calls"] for way in WAYS}
    assert calls["shared"] == sections + 3  # each section once, each question once
    assert calls["isolated"] == 3 * (sections + 1)
    # The same is asked for in all three ways. A cache joins nobody: whatever is asked for at one moment, it computes.
    asked = {way: sum(compared[way]["work"][how] for how in ("computed", "found", "joined")) for way in WAYS}
    assert len(set(asked.values())) == 1
    assert compared["cache"]["work"]["joined"] == 0
    assert sections + 3 < calls["cache"] <= asked["cache"]
    shared, isolated = compared["shared"], compared["isolated"]
    assert compared["ratio"]["calls"] == round(calls["shared"] / calls["isolated"], 3)
    assert compared["ratio"]["tokens"] == round(shared["tokens"] / isolated["tokens"], 3)
    assert compared["ratio"]["elapsed"] == round(shared["elapsed_s"] / isolated["elapsed_s"], 3)
    assert (isolated["fetched"], shared["fetched"]) == (3, 1)
    assert shared["work"]["joined"] > 0
    assert isolated["saved"]["calls"] < shared["saved"]["calls"]
    for way in WAYS:
        document = compared[way]
        assert document["model"]["name"] == "offline (simulated latency 100 ms)"
        assert len(document["answers"]) == 3
        assert all(answer["answer"] and answer["sources"] for answer in document["answers"])
        assert document["missing"] == []
        assert {"run", "documents", "report", "saved", "elapsed_s", "bytes"} <= set(document)
    # The runs stay, and can be done again, though the document that was written for the demo is gone.
    assert (shared["flock"], "flock" in isolated) == (flock_name, False)
    assert f"`roost report latest --flock {flock_name}`" in ran.err
    assert f"`roost replay latest --flock {flock_name} --check`" in ran.err
    assert len(set(shared["runs"])) == 3
    checked = await roost("replay", "latest", "--check", "--flock", flock_name)
    assert checked.code == 0, checked.out + checked.err
