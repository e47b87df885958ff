"""Components of our own for Streamlit: their HTML, CSS and JavaScript stand beside them, and nothing else is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streamlit.components.v2 import component

Mount = Callable[[str, Mapping[str, Any]], None]
"""Shows the component under a key, or hands new data to the one that is there."""


def mount(name: str, beside: str, stem: str) -> Mount:
    """A component of `<stem>.html`, `.css` and `.js` in the folder of the file `beside`, with the wording of all."""
    folder = Path(beside).parent
    wording = (Path(__file__).parent / "wording.js").read_text("utf-8")
    render = component(
        name,
        html=(folder / f"{stem}.html").read_text("utf-8"),
        css=(folder / f"{stem}.css").read_text("utf-8"),
        js=(folder / f"{stem}.js").read_text("utf-8") + wording,
    )

    def show(key: str, data: Mapping[str, Any]) -> None:
        render(key=key, data=dict(data))

    return show
