"""Refused calls: the status and code of the contract, and nothing that changed."""

from collections.abc import Callable
from typing import Any

from werkzeug.test import TestResponse

from tests.factories import nothing_changes


def refused_call(call: Callable[[], TestResponse], status: int, code: str) -> dict[str, Any]:
    """Make a call that must be refused; return its problem document.

    Needs an open application context, to compare rows and pointers.
    """
    with nothing_changes():
        answer = call()
    document: dict[str, Any] = answer.get_json()
    assert (answer.status_code, document["code"]) == (status, code), document
    assert answer.content_type == "application/problem+json"
    assert document["status"] == status
    assert document["type"].endswith(f"/problems/{code}")
    return document


def pointers(document: dict[str, Any]) -> list[str]:
    """Return the inputs that a problem complains about."""
    return [complaint["pointer"] for complaint in document["errors"]]
