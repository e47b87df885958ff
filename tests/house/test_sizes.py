"""Files and functions that a reader can hold in mind."""

import ast
from pathlib import Path

LINES_OF_A_FILE = 500
LINES_OF_A_TEST_FILE = 800
LINES_OF_A_FUNCTION = 70
CODE = {".py", ".lua", ".sh"}


def test_no_file_is_longer_than_its_bound(root: Path, tracked: list[Path]) -> None:
    lengths = {path: (root / path).read_bytes().count(b"\n") for path in tracked if path.suffix in CODE}
    too_long = {
        str(path): lines
        for path, lines in lengths.items()
        if lines > (LINES_OF_A_TEST_FILE if path.parts[0] == "tests" else LINES_OF_A_FILE)
    }
    assert too_long == {}


def test_no_function_is_longer_than_its_bound(root: Path, tracked: list[Path]) -> None:
    functions = [
        (f"{path}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for path in tracked
        if path.suffix == ".py"
        for node in ast.walk(ast.parse((root / path).read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert {name: lines for name, lines in functions if lines > LINES_OF_A_FUNCTION} == {}
