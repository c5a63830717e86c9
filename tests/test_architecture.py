"""The rules of the code base that no linter knows."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.problems import STATUS
from core.errors import ErrorCode
from core.problem_texts import PROBLEM_TEXTS

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("api", "cli", "core", "models", "serving", "services", "storage", "tasks")
MAX_LINES = 400
BROKER = "redis://127.0.0.1:1/0"
LISTING = "import sys; from app import create_app; create_app(); print(*sys.modules)"


def product_files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))
    yield from sorted(ROOT.glob("*.py"))


def all_files() -> Iterator[Path]:
    yield from product_files()
    for folder in ("tests", "benchmarks"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def places(pattern: str, *, allowed: tuple[str, ...] = ()) -> list[str]:
    wanted = re.compile(pattern)
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in product_files()
        if path.relative_to(ROOT).as_posix() not in allowed
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if wanted.search(line)
    ]


def public_functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def imported(data_dir: Path, broker: str = "") -> set[str]:
    """Return the modules that an application in a process of its own has loaded."""
    place = {"DATA_DIR": str(data_dir), "ENVIRONMENT": "development", "CELERY_BROKER_URL": broker}
    done = subprocess.run(
        [sys.executable, "-c", LISTING],
        cwd=ROOT,
        env=place,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_imports_point_one_way() -> None:
    outcome = subprocess.run(
        ["/usr/bin/env", f"PYTHONPATH={ROOT}", Path(sys.executable).parent / "lint-imports"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_code_has_a_status_and_a_page(code: ErrorCode) -> None:
    assert 400 <= STATUS[code] <= 599
    assert code in PROBLEM_TEXTS


def test_only_one_module_commits() -> None:
    # A migration's lock is held on a connection of its own, which has no unit of work.
    allowed = ("services/transaction.py", "services/migrations.py")

    assert places(r"\.commit\(", allowed=allowed) == []


def test_only_one_module_reads_the_environment() -> None:
    # prometheus_client learns its folder from the environment and from nowhere else.
    allowed = ("config.py", "core/metrics.py")

    assert places(r"os\.(environ|getenv)", allowed=allowed) == []


def test_only_one_helper_renames() -> None:
    # core lies above storage's files of sites; its one file of keys is replaced in one step too.
    allowed = ("storage/files.py", "core/secrets_file.py")

    assert places(r"os\.(rename|replace)\(|(?<!files)\.rename\(", allowed=allowed) == []


def test_nothing_unpacks_or_evaluates_what_others_send() -> None:
    assert places(r"\bextractall\b|\bpickle\b|\beval\(|\bexec\(|shell=True|verify=False") == []


def test_celery_is_imported_only_where_it_is_wanted(tmp_path: Path) -> None:
    found = {broker: "celery" in imported(tmp_path, broker) for broker in ("", BROKER)}

    assert found == {"": False, BROKER: True}


def test_alembic_is_not_imported_by_servers(tmp_path: Path) -> None:
    assert {"alembic", "flask_migrate", "mako"} & imported(tmp_path) == set()


def test_the_process_of_the_visitors_loads_what_it_serves_with(tmp_path: Path) -> None:
    unused = {"sqlalchemy", "cryptography", "api", "services", "models", "flask_restx"}
    unwanted = f"import sys, sites_wsgi; print(sorted({unused} & sys.modules.keys()))"

    done = subprocess.run(
        [sys.executable, "-c", unwanted],
        cwd=ROOT,
        env={"DATA_DIR": str(tmp_path), "ENVIRONMENT": "development"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "[]\n"


def test_help_loads_neither_the_application_nor_the_database() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cli.console", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "cli.start" in loaded
    assert {"app", "config", "api", "services", "models", "sqlalchemy"} & loaded == set()


def test_no_file_grows_too_long() -> None:
    long = [path for path in all_files() if len(path.read_text().splitlines()) > MAX_LINES]

    assert long == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "services").glob("*.py")), ids=lambda path: path.stem
)
def test_use_cases_take_named_arguments_only(path: Path) -> None:
    positional = [
        f"{node.name}({argument.arg})"
        for node in public_functions(path)
        for argument in (*node.args.posonlyargs, *node.args.args)
        if argument.arg == "actor"
    ]

    assert positional == []
