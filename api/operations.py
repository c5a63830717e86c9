"""For operators: is the process alive, is it ready, and what has it been doing."""

import hmac
from ipaddress import ip_address

from flask import Blueprint, Flask, Response, current_app, jsonify, request
from flask.globals import request_ctx
from prometheus_client import CONTENT_TYPE_LATEST

from api.security import client_address
from core.errors import NotFoundError
from core.metrics import Metrics
from core.settings import current_settings
from services.health import OK, Check, CheckState, Readiness, readiness

METRICS_EXTENSION = "relevo.metrics"
UNTRUSTED_EXTENSION = "relevo.untrusted_forwarding"
FORWARDING_HEADERS = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")
RETRY_SECONDS = "5"


def register(app: Flask) -> None:
    """Mount the addresses outside of the API."""
    app.extensions[UNTRUSTED_EXTENSION] = False
    pages = Blueprint("operations", __name__)
    pages.add_url_rule("/healthz", view_func=_healthz, endpoint="healthz")
    pages.add_url_rule("/readyz", view_func=_readyz, endpoint="readyz")
    pages.add_url_rule("/metrics", view_func=_metrics, endpoint="metrics")
    app.register_blueprint(pages)
    app.before_request(_notice_proxy)


def _healthz() -> Response:
    return jsonify(status="ok")


def _readyz() -> Response:
    report = readiness({"proxy": _proxy})
    response = jsonify(
        status=report.status.value,
        checks={name: _shown(check) for name, check in report.checks.items()},
    )
    response.headers["Cache-Control"] = "no-store"
    if report.status is Readiness.UNAVAILABLE:
        response.status_code = 503
        response.headers["Retry-After"] = RETRY_SECONDS
    return response


def _shown(check: Check) -> dict[str, str]:
    shown = {"status": check.state.value}
    return shown if check.detail is None else {**shown, "detail": check.detail}


def _metrics() -> Response:
    if not (_is_local() or _has_metrics_token()):
        raise NotFoundError("There is nothing at this address.")
    metrics: Metrics = current_app.extensions[METRICS_EXTENSION]
    return Response(metrics.render(), content_type=CONTENT_TYPE_LATEST)


def _is_local() -> bool:
    """Tell whether somebody on this machine asks; a proxy on it that forwards does not count."""
    forwarded = any(name in request.headers for name in FORWARDING_HEADERS)
    if forwarded and current_settings().trusted_proxies == 0:
        return False
    try:
        return ip_address(client_address() or "").is_loopback
    except ValueError:
        return False


def _has_metrics_token() -> bool:
    wanted = current_settings().metrics_token
    given = request.headers.get("Authorization", "")
    return wanted is not None and hmac.compare_digest(given.encode(), f"Bearer {wanted}".encode())


def _notice_proxy() -> None:
    """Remember when a neighbour forwards addresses that TRUSTED_PROXIES does not let count."""
    forwarded = "HTTP_X_FORWARDED_FOR" in request_ctx.request.environ
    if not forwarded or current_settings().trusted_proxies:
        return
    try:
        neighbour = ip_address(client_address() or "")
    except ValueError:
        return
    if neighbour.is_private:
        current_app.extensions[UNTRUSTED_EXTENSION] = True


def _proxy() -> Check:
    if not current_app.extensions[UNTRUSTED_EXTENSION]:
        return OK
    return Check(
        CheckState.DEGRADED,
        "Addresses are forwarded, but TRUSTED_PROXIES is 0: everybody shares the limits of the "
        "proxy.",
    )
