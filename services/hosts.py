"""At which hosts environments and releases are served, on disk as in the database."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

from sqlalchemy import select

from core.errors import InvalidInputError
from core.extensions import site_store
from core.settings import current_settings
from models.engine import db
from models.environments import Domain, Environment
from models.releases import Release, ReleaseState
from models.sites import Site
from services.names import HOST_DIGEST_LENGTH, is_domain
from services.transaction import end_reading
from storage.locks import LOCKS_FOLDER, file_lock

MAIN = "main"


def environment_host(*, slug: str, environment: str) -> str:
    """Return the host every environment has: main is the bare slug."""
    domain = current_settings().sites_domain
    return f"{slug}.{domain}" if environment == MAIN else f"{environment}--{slug}.{domain}"


def release_host(*, slug: str, digest: str) -> str:
    """Return the unguessable host that shows one release."""
    return f"{digest[:HOST_DIGEST_LENGTH]}--{slug}.{current_settings().sites_domain}"


def check_domains(domains: Sequence[str]) -> None:
    """Refuse what is no domain, and what is served by itself.

    Raises:
        InvalidInputError: naming which.
    """
    settings = current_settings()
    own = urlsplit(settings.public_url).hostname
    for index, host in enumerate(domains):
        generated = host == settings.sites_domain or host.endswith(f".{settings.sites_domain}")
        if not is_domain(host):
            raise InvalidInputError.field(
                f"/domains/{index}", "This is not a domain name in lower case.", code="host"
            )
        if generated or host == own:
            raise InvalidInputError.field(
                f"/domains/{index}", "This host belongs to the server itself.", code="reserved"
            )


def _turn() -> AbstractContextManager[None]:
    """Take turns at changing hosts, so that no link is written by what was read before."""
    return file_lock(site_store().layout.root / LOCKS_FOLDER / "hosts", wait_seconds=None)


def point_environment(*, slug: str, environment: str, domains: list[str]) -> None:
    """Make an environment reachable at its own host and at `domains`."""
    store = site_store()
    for host in [environment_host(slug=slug, environment=environment), *domains]:
        store.point_host(host, slug, environment)


def point_release(*, slug: str, digest: str) -> None:
    """Make a release reachable at its own host."""
    site_store().point_host_at_release(release_host(slug=slug, digest=digest), slug, digest)


def remove(*, names: list[str]) -> None:
    """Stop serving `names`."""
    store = site_store()
    for host in names:
        store.remove_host(host)


def sync() -> int:
    """Make the hosts on disk those the database knows; return how many had to be changed.

    Run by recovery: a crash between a row and its link is mended here. The disk is read before
    the database: rows come before their links, so a link that is found has its row by then.
    """
    end_reading()
    with _turn():
        found = site_store().hosts()
        wanted = _wanted()
        end_reading()
        return _apply(found, wanted)


def refresh_domains(*, names: Collection[str]) -> int:
    """Make these domains on disk what the database knows; return how many had to be changed."""
    end_reading()
    with _turn():
        every = site_store().hosts()
        found = {host: every[host] for host in names if host in every}
        wanted = _domains(names)
        end_reading()
        return _apply(found, wanted)


def _apply(found: Mapping[str, str], wanted: Mapping[str, str]) -> int:
    changed = [host for host, target in wanted.items() if found.get(host) != target]
    surplus = [host for host in found if host not in wanted]
    for host in changed:
        _point(host, wanted[host])
    remove(names=surplus)
    return len(changed) + len(surplus)


def _point(host: str, target: str) -> None:
    slug, _, rest = target.partition("/")
    if rest.startswith("releases/"):
        site_store().point_host_at_release(host, slug, rest.removeprefix("releases/"))
    else:
        site_store().point_host(host, slug, rest)


def _wanted() -> dict[str, str]:
    wanted: dict[str, str] = {}
    environments = select(Site.slug, Environment.name).join(Environment.site)
    for slug, name in db.session.execute(environments):
        wanted[environment_host(slug=slug, environment=name)] = f"{slug}/{name}"
    releases = (
        select(Site.slug, Release.digest)
        .join(Release.site)
        .where(Release.state == ReleaseState.READY)
    )
    for slug, digest in db.session.execute(releases):
        wanted[release_host(slug=slug, digest=digest)] = f"{slug}/releases/{digest}"
    return wanted | _domains()


def _domains(names: Collection[str] | None = None) -> dict[str, str]:
    query = (
        select(Domain.host, Site.slug, Environment.name)
        .join(Environment, Domain.environment_id == Environment.id)
        .join(Environment.site)
    )
    if names is not None:
        query = query.where(Domain.host.in_(names))
    return {host: f"{slug}/{name}" for host, slug, name in db.session.execute(query)}
