"""The scripts as files, for agents that are not written in Python: `python -m roost.streams.assemble FOLDER`."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from .script import PRELUDES, script


def assemble(folder: Path) -> list[Path]:
    """Write every script, whole, as it fits single servers and clusters, into a folder; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [file.name for file in (files(__package__ or "") / "lua").iterdir() if file.name.endswith(".lua")]
    written: list[Path] = []
    for name in sorted(set(names) - set(PRELUDES)):
        file = folder / name
        file.write_text(script(name.removesuffix(".lua"), clustered=True).text, "utf-8")
        written.append(file)
    return written


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m roost.streams.assemble FOLDER")
    sys.stdout.write("".join(f"{file}\n" for file in assemble(Path(sys.argv[1]))))
