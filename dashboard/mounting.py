"""Components of our own for Streamlit: their HTML, CSS and JavaScript stand beside them, and nothing else is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamlit.components.v2 import component

Mount = Callable[[str, Mapping[str, Any]], None]
"""Shows the component under a key, or hands new data to the one that is there."""
Ask = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""The same, and what somebody has done in the browser since: by the name of a trigger; None where nothing was done."""


def mount(name: str, beside: str, stem: str) -> Mount:
    """A component of `<stem>.html`, `<stem>.css` and all scripts in the folder of the file `beside`.

    The scripts and the wording of all components are one module.
    """
    ask = mount_asking(name, beside, stem, ())

    def show(key: str, data: Mapping[str, Any]) -> None:
        ask(key, data)

    return show


def mount_asking(name: str, beside: str, stem: str, triggers: Sequence[str]) -> Ask:
    """The same, of a component that tells what people do in it, by `setTriggerValue` with one of these names."""
    folder = Path(beside).parent
    scripts = [*sorted(folder.glob("*.js")), Path(__file__).parent / "wording.js"]
    render = component(
        name,
        html=(folder / f"{stem}.html").read_text("utf-8"),
        css=(folder / f"{stem}.css").read_text("utf-8"),
        js="\n".join(script.read_text("utf-8") for script in scripts),
    )
    heard: dict[str, Any] = {f"on_{trigger}_change": _heard for trigger in triggers}

    def ask(key: str, data: Mapping[str, Any]) -> dict[str, Any]:
        told = render(key=key, data=dict(data), **heard)
        return {trigger: getattr(told, trigger, None) for trigger in triggers}

    return ask


def _heard() -> None:
    """Streamlit runs the script again for what it calls back for."""
