"""Rules about the code of the storage itself."""

import ast
from pathlib import Path

import storage

FOLDER = Path(storage.__file__).parent
MOVING = {"rename", "renames", "replace", "move", "fsync", "sync", "syncfs", "extractall"}


def _called_on_os_or_paths(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            is_text = node.func.attr == "replace" and len(node.args) == 2
            is_ours = isinstance(owner, ast.Name) and owner.id == "files"
            if node.func.attr in MOVING and not is_ours and not is_text:
                found.add(node.func.attr)
    return found


def test_one_module_renames_and_syncs() -> None:
    offenders = {
        path.name: calls
        for path in FOLDER.glob("*.py")
        if path.name != "files.py" and (calls := _called_on_os_or_paths(path))
    }

    assert offenders == {}


def test_the_storage_imports_nothing_of_the_layers_above() -> None:
    allowed = {"storage", "brotli"}
    above = {"core", "models", "services", "api", "cli", "tasks", "serving", "flask", "sqlalchemy"}

    imported = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])

    assert not imported & above
    assert allowed <= imported
