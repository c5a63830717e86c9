"""One line for each event, readable by machines whatever is in it."""

import json
import logging

import pytest

from config import load_settings
from core import logs
from tests.people import ENVIRONMENT

SETTINGS = load_settings({**ENVIRONMENT, "LOG_FORMAT": "json"})


def written(message: str, **fields: object) -> str:
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", **fields})
    record.request_id = "request-1"
    return logs._formatter(SETTINGS.log_format).format(record)


@pytest.mark.parametrize("text", ["plain", "Zoë \N{CRAB}", 'a "quoted"\nbreak\x00', "lone \ud800"])
def test_a_line_is_json_whatever_it_tells(text: str) -> None:
    line = written("request", path=text)

    assert "\n" not in line
    assert json.loads(line)["path"] == text
    assert json.loads(line)["request_id"] == "request-1"


def test_what_json_does_not_know_is_told_in_words() -> None:
    line = written("failed", error=ValueError("no"), where=object())

    assert "no" in json.loads(line)["error"]


def test_a_credential_is_left_out() -> None:
    line = written("failed", detail=f"rlv_{'a' * 42} was sent")

    assert json.loads(line)["detail"] == f"{logs.REDACTED} was sent"
