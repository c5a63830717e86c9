"""One log line and one count for each request: who asked what, how it ended, how long it took."""

import logging
from functools import partial
from typing import cast

from flask import Flask, Request, g
from flask.globals import request_ctx
from flask.wrappers import Response

from api.security import known_actor
from core.clock import monotonic
from core.metrics import Metrics

logger = logging.getLogger("relevo.requests")

NO_ROUTE = "-"


def register(app: Flask, metrics: Metrics) -> None:
    """Log and count every answer, without query strings: they may hold what people look for."""
    app.before_request(_start)
    app.after_request(partial(_note, metrics))


def _start() -> None:
    g.relevo_started = monotonic()


def _note(metrics: Metrics, response: Response) -> Response:
    asked = request_ctx.request  # each look at flask.request costs as much as all of a dictionary's
    route, status = _route(asked), response.status_code
    seconds = monotonic() - cast(float, g.get("relevo_started", monotonic()))
    metrics.count(method=asked.method, route=route, status=status, seconds=seconds)
    actor = known_actor()
    logger.info(
        "request",
        extra={
            "method": asked.method,
            "path": asked.path,
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
            "address": asked.remote_addr,
            "actor": actor.username if actor else None,
            "token": actor.token_name if actor else None,
        },
    )
    return response


def _route(asked: Request) -> str:
    """Return the rule of the address, such as `/api/v1/sites/<slug>`; never the address."""
    return str(asked.url_rule.rule) if asked.url_rule is not None else NO_ROUTE
