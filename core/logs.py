"""Log lines: JSON or console, each with the request id, none with a credential."""

import json
import logging
import random
import re
import sys
from contextvars import ContextVar

from pythonjsonlogger.core import LogData
from pythonjsonlogger.orjson import OrjsonFormatter

from core.ids import API_TOKEN_PREFIX
from core.settings import LogFormat, Settings

REDACTED = "[redacted]"
API_TOKEN_PATTERN = API_TOKEN_PREFIX + r"[0-9A-Za-z]{8,64}"
JWT_PREFIX = "eyJ"
JWT_PATTERN = JWT_PREFIX + r"[\w-]{5,}\.[\w-]{5,}\.[\w-]*"
_CREDENTIAL = re.compile(f"{API_TOKEN_PATTERN}|{JWT_PATTERN}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]|\n(?=\S)")

_request_id: ContextVar[str | None] = ContextVar("relevo_request_id", default=None)


def request_id() -> str | None:
    """Return the id of the request being answered, or None outside of one."""
    return _request_id.get()


def set_request_id(value: str | None) -> None:
    """Set the id that log lines and problems of this thread carry from now on."""
    _request_id.set(value)


def new_request_id() -> str:
    """Return an id that tells this request from others; nothing depends on nobody guessing it."""
    return f"{random.getrandbits(128):032x}"  # nosec B311


def redact(text: str) -> str:
    """Replace every API token and JWT in `text`."""
    if API_TOKEN_PREFIX not in text and JWT_PREFIX not in text:
        return text  # nearly always
    return _CREDENTIAL.sub(REDACTED, text)


def configure(settings: Settings) -> None:
    """Send every log line to standard error in the configured format and level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(settings.log_format))
    handler.addFilter(_add_request_id)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    # Alembic tells at each look at the tables which dialect it found.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # No line tells them, so they are not looked up for each (logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class RedactingJsonFormatter(OrjsonFormatter):
    """One JSON object for each line, without credentials."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))

    def jsonify_log_record(self, log_data: LogData) -> str:
        try:
            return super().jsonify_log_record(log_data)
        except TypeError:  # lone surrogates, such as in a file name that is not UTF-8
            return json.dumps(log_data, default=str)


class RedactingFormatter(logging.Formatter):
    """A readable line for the console, without credentials or forged line breaks."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return _CONTROL.sub(" ", super().formatMessage(record))


def _formatter(log_format: LogFormat) -> logging.Formatter:
    if log_format is LogFormat.CONSOLE:
        return RedactingFormatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s")
    return RedactingJsonFormatter(
        "{levelname}{name}{message}{request_id}",
        style="{",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="at",
    )


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = _request_id.get()
    return True
