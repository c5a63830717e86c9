"""The guard of webhooks, as the settings have it."""

from urllib.parse import urlsplit

from sqlalchemy import make_url

from core.outbound import Endpoint, Guard
from core.settings import Settings, current_settings

DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306}
BROKER_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "pyamqp": 5672, "amqps": 5671}
ANY = ("0.0.0.0", "::", "")  # noqa: S104  # nosec B104  # compared with, not listened on


def webhook_guard() -> Guard:
    """Return what webhooks may call: the public internet and what WEBHOOK_ALLOWED_CIDRS lists."""
    settings = current_settings()
    return Guard(allowed=settings.webhook_allowed_cidrs, own=own_services(settings))


def own_services(settings: Settings) -> tuple[Endpoint, ...]:
    """Return where the services of this installation listen; nobody else is sent there."""
    host = "localhost" if settings.host in ANY else settings.host
    found = [Endpoint(host, settings.port), Endpoint(host, settings.sites_port)]
    url = make_url(settings.database_url)
    if url.host:
        port = url.port or DATABASE_PORTS.get(url.get_backend_name(), 0)
        found.append(Endpoint(url.host, port))
    for address in (settings.redis_url, settings.celery_broker_url):
        if address:
            parts = urlsplit(address)
            port = parts.port or BROKER_PORTS.get(parts.scheme, 0)
            found.append(Endpoint(parts.hostname or "localhost", port))
    if settings.smtp is not None:
        found.append(Endpoint(settings.smtp.host, settings.smtp.port))
    return tuple(found)
