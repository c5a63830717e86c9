"""Tests that need a program beyond Python: skipped without it, or failed when it is required."""

import os
import shutil
from typing import NoReturn

import pytest

REQUIRED = os.environ.get("REQUIRE_SERVICES") == "1"  # noqa: TID251 - tests have no settings


def required_program(name: str) -> str:
    """Return the path of a program; skip the test without it, or fail under REQUIRE_SERVICES=1."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")  # noqa: TID251
    if found is None:
        missing_service(f"{name} is not installed")
    return found


def missing_service(message: str) -> NoReturn:
    """Skip the test with this reason, or fail it under REQUIRE_SERVICES=1."""
    if REQUIRED:
        pytest.fail(f"{message} and REQUIRE_SERVICES=1")
    pytest.skip(message)
