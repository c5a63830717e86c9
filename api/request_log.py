"""One log line for each request: who asked what, how it ended, how long it took."""

import logging
from typing import cast

from flask import Flask, g, request
from flask.wrappers import Response

from api.security import client_address, known_actor
from core.clock import monotonic

logger = logging.getLogger("relevo.requests")

NO_ROUTE = "-"


def register(app: Flask) -> None:
    """Log every answer; query strings are left out, they may hold what people search for."""
    app.before_request(_start)
    app.after_request(_log)


def route_template() -> str:
    """Return the rule of the address, such as `/api/v1/sites/<slug>`; never the address."""
    return str(request.url_rule.rule) if request.url_rule is not None else NO_ROUTE


def elapsed_seconds() -> float:
    """Return how long this request has taken so far."""
    return monotonic() - cast(float, g.get("relevo_started", monotonic()))


def _start() -> None:
    g.relevo_started = monotonic()


def _log(response: Response) -> Response:
    actor = known_actor()
    logger.info(
        "request",
        extra={
            "method": request.method,
            "path": request.path,
            "route": route_template(),
            "status": response.status_code,
            "duration_ms": round(elapsed_seconds() * 1000, 2),
            "address": client_address(),
            "actor": actor.username if actor else None,
            "token": actor.token_name if actor else None,
        },
    )
    return response
