"""Run commands as an operator does: in this process, or in one of their own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import Result
from flask import Flask

from cli.console import Commands
from tests import engines
from tests.people import ENVIRONMENT

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "cli.console"]


@dataclass(frozen=True)
class Relevo:
    """The `relevo` command on the application of a test."""

    app: Flask

    def __call__(self, *arguments: str | Path) -> Result:
        """Run a command and return its outcome."""
        return self.with_input("", *arguments)

    def with_input(self, text: str, *arguments: str | Path) -> Result:
        """Run a command that reads `text` from standard input."""
        group = Commands("relevo")
        runner = self.app.test_cli_runner(catch_exceptions=False)
        return runner.invoke(group, [str(argument) for argument in arguments], input=text)

    def document(self, *arguments: str | Path, exit_code: int = 0) -> Any:
        """Run a command with --json and return what it printed; Any because it is JSON."""
        result = self(*arguments, "--json")
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)


def run_process(
    *arguments: str | Path, data_dir: Path, text_in: str = "", **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the console entry in a process of its own."""
    place = {"DATA_DIR": str(data_dir), **engines.settings_of(data_dir)}
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        cwd=REPOSITORY,
        env={"PATH": os.defpath, **ENVIRONMENT, **place, **environment},
        input=text_in,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def folder_with(path: Path, **files: str) -> Path:
    """Write a folder with an index and more texts by name."""
    path.mkdir(parents=True, exist_ok=True)
    for name, text in {"index": "hello", **files}.items():
        (path / f"{name}.html").write_text(text)
    return path
