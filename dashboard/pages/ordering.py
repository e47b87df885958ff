"""The form of the page Start: files, questions and options, as somebody sets them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

from roost.dashboard.notice import show_notice
from roost.dashboard.started import MAX_BYTES, RunOrder, Upload, Way, admit
from roost.dashboard.started.order import (
    MAX_AGENTS,
    MAX_CALLS,
    MAX_LATENCY_S,
    MAX_MODEL_CHARACTERS,
    MAX_PROCESSES,
    MAX_QUESTION_CHARACTERS,
    MAX_QUESTIONS,
    OFFLINE,
    questions_in,
)

WAYS: dict[Way, str] = {
    "shared": "shared: in the flock's memory, and what is known is reused",
    "isolated": "isolated: in a memory of its own, thrown away afterwards",
    "compare": "compare: isolated, with a cache, and shared, side by side",
}
OTHER = "another"
NAMED = 10
"""Files that are named; of others, the count."""
ENDINGS = "Text, Markdown, HTML, source code; PDF and Word files where Roost has its extra `docs`."


@dataclass(frozen=True, slots=True)
class Form:
    """What is set. `files` are those that can be read."""

    order: RunOrder
    files: tuple[Upload, ...]


def show_form(model: str) -> tuple[Form, DeltaGenerator]:
    """Shows the form, and what is wrong with its files; and a place below the questions. `model` is the settings'."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        dropped = st.file_uploader(
            f"Files, {MAX_BYTES // 1_000_000} MB together", accept_multiple_files=True, key="start files", help=ENDINGS
        )
        uploads = _admitted(dropped) if dropped else _kept()
        _tell_of(uploads)
        asked = st.text_area(
            "Questions, one a line; without any it is a summary",
            key="start questions",
            persist_state="session",
            max_chars=MAX_QUESTIONS * MAX_QUESTION_CHARACTERS,
            height=120,
        )
    with right:
        order = _options(model, questions_in(asked or ""))
    return Form(order, tuple(upload for upload in uploads if not upload.refused)), left.container()


def _options(model: str, questions: tuple[str, ...]) -> RunOrder:
    known = list(dict.fromkeys([model, OFFLINE]))
    picked = st.selectbox("Model", [*known, OTHER], key="start model", persist_state="session")
    if picked == OTHER:
        picked = st.text_input(
            "Its name", "openai/", key="start model name", persist_state="session", max_chars=MAX_MODEL_CHARACTERS
        ).strip()
    chosen = picked or ""
    if chosen == OFFLINE:
        st.caption("The offline model takes sentences out of the files. It needs no key and costs nothing.")
    else:
        st.caption(
            "Calls cost what its provider asks for them, and go out with the key of the machine that shows this page."
        )
    way: Way = st.radio(
        "Memory", list(WAYS), key="start way", persist_state="session", format_func=lambda each: WAYS[each]
    )
    with st.expander("More"):
        latency = 0.0
        if chosen == OFFLINE:
            latency = st.number_input(
                "Simulated: seconds that a call takes",
                0.0,
                MAX_LATENCY_S,
                0.3,
                0.1,
                key="start latency",
                persist_state="session",
            )
        agents = st.number_input(
            "Agents: sections read at the same time, in each process",
            1,
            MAX_AGENTS,
            8,
            key="start agents",
            persist_state="session",
        )
        processes = st.number_input("Processes", 1, MAX_PROCESSES, 1, key="start processes", persist_state="session")
        calls = st.number_input(
            "Make at most so many calls", 0, MAX_CALLS, None, key="start calls", persist_state="session"
        )
        cost = st.text_input(
            "Start no call once so many US dollars are spent", key="start cost", persist_state="session", max_chars=20
        ).strip()
    return RunOrder(
        questions=questions,
        model=chosen,
        way=way,
        agents=int(agents),
        processes=int(processes),
        max_calls=None if calls is None else int(calls),
        max_cost=cost.removeprefix("$"),
        latency_s=float(latency),
    )


def keep_files(files: tuple[Upload, ...]) -> None:
    """For whoever comes back from another page, where a browser forgets what was dropped here, and asks more."""
    st.session_state["start kept"] = files


def _kept() -> list[Upload]:
    kept: tuple[Upload, ...] = st.session_state.get("start kept", ())
    if not kept or not st.checkbox("The files of the run before, again", value=True, key="start again"):
        return []
    names = ", ".join(file.name for file in kept[:NAMED])
    show_notice("start names", names if len(kept) <= NAMED else f"{names} and {len(kept) - NAMED} more")
    return [replace(file, remark="") for file in kept]


def _admitted(dropped: list[UploadedFile]) -> list[Upload]:
    """Looked through once, however often the script runs."""
    ids = tuple(file.file_id for file in dropped)
    known: tuple[tuple[str, ...], list[Upload]] = st.session_state.get("start admitted", ((), []))
    if known[0] != ids:
        with st.spinner("Looking through the files"):
            known = ids, admit([(file.name, file.getvalue()) for file in dropped])
        st.session_state["start admitted"] = known
    return known[1]


def _tell_of(uploads: list[Upload]) -> None:
    for number, upload in enumerate(uploads):
        if upload.refused:
            show_notice(f"start file {number}", f"{upload.name} {upload.refused}", trouble=True)
        elif upload.remark:
            show_notice(f"start file {number}", f"{upload.name} {upload.remark}")
