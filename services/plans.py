"""Plans: what a promotion would change, file by file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from core.errors import ConflictError, ErrorCode, InvalidInputError
from core.extensions import site_store
from models.engine import Base, db
from models.environments import Environment
from models.releases import ReleaseState
from models.sites import Site
from services import access
from services.access import AnySite
from services.actors import Actor
from services.promotion_facts import (
    AnyEnvironment,
    AnyRelease,
    AnyRow,
    ReleaseFacts,
    named_release,
    release_by_id,
)
from services.storage_errors import translated_storage_errors
from services.transaction import end_reading
from storage.manifests import ManifestEntry

MAX_ENTRIES = 1_000

_environments = Base.metadata.tables[Environment.__tablename__]
_SOURCE = select(_environments.c.name, _environments.c.release_id).where(
    _environments.c.site_id == bindparam("site")
)
_SOURCE_NAMED = _SOURCE.where(_environments.c.name == bindparam("name"))
_SOURCE_BELOW = (
    _SOURCE.where(_environments.c.rank < bindparam("rank"))
    .order_by(_environments.c.rank.desc(), _environments.c.id.desc())
    .limit(1)
)


@dataclass(frozen=True, kw_only=True)
class PlanEntry:
    """One file of a plan; the `previous_` values are set for changed files only."""

    path: str
    size_bytes: int
    sha256: str
    previous_size_bytes: int | None = None
    previous_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a promotion of `release` onto `base_release` would change.

    The lists are cut at MAX_ENTRIES each, `counts` are exact. `plan_hash` names the release,
    the release it replaces and the generation: if one of them moves, the plan is another one.
    """

    release: int
    base_release: int | None
    plan_hash: str
    counts: Mapping[str, int]
    added: tuple[PlanEntry, ...]
    changed: tuple[PlanEntry, ...]
    removed: tuple[PlanEntry, ...]
    bytes_added: int
    warnings: tuple[Mapping[str, str], ...]
    truncated: bool


def plan(
    *,
    actor: Actor,
    slug: str,
    to: str,
    from_environment: str | None = None,
    release: int | str | None = None,
) -> Plan:
    """Work out what a promotion would change, without changing anything.

    Raises:
        InvalidInputError: an environment or the release does not exist.
        ConflictError: `release_not_ready`, there is nothing to promote.
    """
    site = access.find_site(actor=actor, slug=slug)
    environment = environment_named(site=site, name=to, pointer="?to")
    candidate, _ = source_release(
        site=site,
        to=environment,
        from_environment=from_environment,
        release=release,
        where="?",
    )
    return build(site=site, environment=environment, candidate=candidate)


def build(*, site: AnySite, environment: AnyEnvironment, candidate: AnyRelease) -> Plan:
    """Compare the manifests of `candidate` and of what `environment` shows."""
    base, store = environment.release, site_store()
    numbers = (candidate.number, base.number if base else None)
    digests = (candidate.digest, base.digest if base else None)
    plan_hash = hash_of(environment=environment, candidate=candidate)
    slug = site.slug
    end_reading()
    with translated_storage_errors():
        new = store.manifest(slug, digests[0]).by_path
        old = store.manifest(slug, digests[1]).by_path if digests[1] else {}
    added = [_entry(entry) for path, entry in new.items() if path not in old]
    removed = [_entry(entry) for path, entry in old.items() if path not in new]
    changed = [
        _entry(entry, old[path])
        for path, entry in new.items()
        if path in old and old[path].sha256 != entry.sha256
    ]
    return Plan(
        release=numbers[0],
        base_release=numbers[1],
        plan_hash=plan_hash,
        counts={"added": len(added), "changed": len(changed), "removed": len(removed)},
        added=tuple(added[:MAX_ENTRIES]),
        changed=tuple(changed[:MAX_ENTRIES]),
        removed=tuple(removed[:MAX_ENTRIES]),
        bytes_added=sum(entry.size_bytes for entry in [*added, *changed]),
        warnings=(),
        truncated=max(len(added), len(changed), len(removed)) > MAX_ENTRIES,
    )


def hash_of(*, environment: AnyEnvironment, candidate: AnyRelease) -> str:
    """Return the hash that names this plan: over both digests, the place and the generation."""
    base = environment.release
    content = {
        "environment": environment.name,
        "from": candidate.digest,
        "to": base.digest if base else None,
        "generation": environment.generation,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def unknown_environment(pointer: str) -> InvalidInputError:
    """Return the refusal of an input that names no environment of the site."""
    return InvalidInputError.field(
        pointer, "The site has no such environment.", code="unknown_environment"
    )


def environment_named(*, site: Site, name: str, pointer: str) -> Environment:
    """Return the environment that an input names.

    Raises:
        InvalidInputError: the site has none of that name; `pointer` says which input.
    """
    environment = db.session.scalar(
        select(Environment).where(Environment.site_id == site.id, Environment.name == name)
    )
    if environment is None:
        raise unknown_environment(pointer)
    return environment


def source_release(
    *,
    site: AnySite,
    to: AnyEnvironment,
    from_environment: str | None,
    release: int | str | None,
    where: str = "/",
    lock: bool = False,
) -> tuple[ReleaseFacts, str | None]:
    """Return the release to promote, and the environment it comes from if one is known.

    Without either the source is the environment one rank below `to`.

    Args:
        site: the site.
        to: where the release is to go.
        from_environment: the source, by name.
        release: number or commit.
        where: how the pointers of refused inputs begin: `?` when they came in a query.
        lock: hold the release's row until the end of the unit of work.

    Raises:
        InvalidInputError: an input names nothing, or both were given and differ.
        ConflictError: `release_not_ready`, the source shows nothing or its files are gone.
    """
    connection = db.session.connection()
    candidate: ReleaseFacts | None = None
    source = None
    if release is not None:
        candidate = named_release(
            connection, site_id=site.id, reference=release, pointer=f"{where}release", lock=lock
        )
    if from_environment is not None or release is None:
        source = _source(connection, site, to, from_environment, f"{where}from")
        if candidate is None and source.release_id is not None:
            candidate = release_by_id(connection, source.release_id, lock=lock)
        elif candidate is not None and source.release_id != candidate.id:
            raise InvalidInputError.field(
                f"{where}from",
                "This environment shows another release than `release`.",
                code="differs",
            )
    if candidate is None:
        raise ConflictError(
            "There is nothing to promote: the source shows no release yet.",
            code=ErrorCode.RELEASE_NOT_READY,
        )
    require_ready(release=candidate)
    return candidate, source.name if source else None


def require_ready(*, release: AnyRelease) -> None:
    """Refuse a release whose files are not there.

    Raises:
        ConflictError: `release_not_ready`.
    """
    if release.state is ReleaseState.PROCESSING:
        raise ConflictError(
            "The release is still being unpacked; wait for its job, or promote with `wait`.",
            code=ErrorCode.RELEASE_NOT_READY,
            members={"release": release.number, "job": release.job_id},
        )
    if release.state is not ReleaseState.READY:
        raise ConflictError(
            "The files of this release are not there any more; upload it again.",
            code=ErrorCode.RELEASE_NOT_READY,
            members={"release": release.number, "state": release.state.value},
        )


def _source(
    connection: Connection, site: AnySite, to: AnyEnvironment, given: str | None, pointer: str
) -> AnyRow:
    """Return name and release of the environment that a release comes from."""
    if given == to.name:
        raise InvalidInputError.field(pointer, "Source and target are the same.", code="same")
    if given is not None:
        asked = {"site": site.id, "name": given}
        found = connection.execute(_SOURCE_NAMED, asked).one_or_none()
        if found is None:
            raise unknown_environment(pointer)
        return found
    found = connection.execute(_SOURCE_BELOW, {"site": site.id, "rank": to.rank}).one_or_none()
    if found is None:
        raise InvalidInputError.field(
            pointer, "No environment ranks below this one; name a release.", code="required"
        )
    return found


def _entry(entry: ManifestEntry, previous: ManifestEntry | None = None) -> PlanEntry:
    return PlanEntry(
        path=entry.path,
        size_bytes=entry.size_bytes,
        sha256=entry.sha256,
        previous_size_bytes=previous.size_bytes if previous else None,
        previous_sha256=previous.sha256 if previous else None,
    )
