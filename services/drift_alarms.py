"""The alarm that drift raises, once, and its end."""

import logging

from core.clock import utc_now
from models.environments import Environment
from models.sites import Site
from services import audit
from services.actors import system_actor
from services.transaction import transaction

logger = logging.getLogger("relevo.recovery")


def raise_alarm(*, site: Site, environment: Environment, link: str | None) -> None:
    """Note that the pointer is not what the history says; audited once, logged each time."""
    if environment.drift_seen_at is None:
        with transaction() as session:
            fresh = session.get_one(Environment, environment.id, populate_existing=True)
            fresh.drift_seen_at = utc_now()
            audit.record(
                actor=system_actor(),
                action="environment.drift_detected",
                target=environment_target(site=site, environment=environment),
                after={"link": link},
            )
    logger.error(
        "drift: the pointer is not what the history says",
        extra={"site": site.slug, "environment": environment.name, "link": link},
    )


def end_alarm(*, site: Site, environment: Environment) -> None:
    """Note that somebody mended the pointer by hand, so that the next drift is told again."""
    with transaction() as session:
        fresh = session.get_one(Environment, environment.id, populate_existing=True)
        fresh.drift_seen_at = None
        audit.record(
            actor=system_actor(),
            action="environment.drift_ended",
            target=environment_target(site=site, environment=environment),
        )


def environment_target(*, site: Site, environment: Environment) -> audit.Target:
    """Return the audit target of an environment."""
    name = f"{site.slug}/{environment.name}"
    return audit.Target(type="environment", id=name, site_id=site.id)
