"""Components of our own for Streamlit: their HTML, CSS and JavaScript stand beside them, and nothing else is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streamlit.components.v2 import component

Mount = Callable[[str, Mapping[str, Any]], None]
"""Shows the component under a key, or hands new data to the one that is there."""


def mount(name: str, beside: str, stem: str) -> Mount:
    """A component of `<stem>.html`, `<stem>.css` and all scripts in the folder of the file `beside`.

    The scripts and the wording of all components are one module.
    """
    folder = Path(beside).parent
    scripts = [*sorted(folder.glob("*.js")), Path(__file__).parent / "wording.js"]
    render = component(
        name,
        html=(folder / f"{stem}.html").read_text("utf-8"),
        css=(folder / f"{stem}.css").read_text("utf-8"),
        js="\n".join(script.read_text("utf-8") for script in scripts),
    )

    def show(key: str, data: Mapping[str, Any]) -> None:
        render(key=key, data=dict(data))

    return show
