"""What a promotion must know of a release and of an environment, read with prepared statements.

Every promotion waits for these. Rules take them or rows of the ORM alike: see `AnyRelease` and
`AnyEnvironment`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Row, Select, bindparam, select

from core.errors import InvalidInputError
from models.engine import Base
from models.environments import Environment
from models.promotions import Promotion
from models.releases import Release, ReleaseState, Submission

COMMIT_PREFIX = "commit:"
RUNNING_SLOT = 1
AnyRow = Row[*tuple[Any, ...]]  # Any: many columns, read by name

_releases, _submissions, _environments, _promotions = (
    Base.metadata.tables[model.__tablename__]
    for model in (Release, Submission, Environment, Promotion)
)


class AnyRelease(Protocol):
    """A release, as far as the rules of promotions look at it."""

    @property
    def id(self) -> int: ...

    @property
    def number(self) -> int: ...

    @property
    def digest(self) -> str: ...

    @property
    def state(self) -> ReleaseState: ...

    @property
    def bad(self) -> bool: ...

    @property
    def verified_at(self) -> datetime | None: ...

    @property
    def latest_submission_id(self) -> int | None: ...

    @property
    def job_id(self) -> str | None: ...


class AnyEnvironment(Protocol):
    """An environment, as far as the rules of promotions look at it."""

    @property
    def id(self) -> int: ...

    @property
    def site_id(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def rank(self) -> int: ...

    @property
    def generation(self) -> int: ...

    @property
    def release_id(self) -> int | None: ...

    @property
    def release(self) -> AnyRelease | None: ...

    @property
    def locked_at(self) -> datetime | None: ...

    @property
    def locked_by(self) -> str | None: ...

    @property
    def lock_reason(self) -> str | None: ...

    @property
    def lock_expires_at(self) -> datetime | None: ...

    @property
    def held_at(self) -> datetime | None: ...

    @property
    def held_by(self) -> str | None: ...


class ReleaseFacts(NamedTuple):
    """A release as one statement read it."""

    id: int
    number: int
    digest: str
    state: ReleaseState
    bad: bool
    verified_at: datetime | None
    latest_submission_id: int | None
    job_id: str | None
    same_as_id: int | None


class EnvironmentFacts(NamedTuple):
    """An environment with the release that is live, as one statement read them.

    `is_running` tells that a promotion is marked to be moving its pointer.
    """

    release: ReleaseFacts | None
    is_running: bool
    id: int
    site_id: int
    name: str
    rank: int
    generation: int
    release_id: int | None
    locked_at: datetime | None
    locked_by: str | None
    lock_reason: str | None
    lock_expires_at: datetime | None
    held_at: datetime | None
    held_by: str | None
    drift_seen_at: datetime | None


_RELEASE = tuple(_releases.c[name] for name in ReleaseFacts._fields)
_ENVIRONMENT = tuple(_environments.c[name] for name in EnvironmentFacts._fields[2:])
_OWN = len(_ENVIRONMENT)
_BY_ID = select(*_RELEASE).where(_releases.c.id == bindparam("id"))
_BY_NUMBER = select(*_RELEASE).where(
    _releases.c.site_id == bindparam("site"), _releases.c.number == bindparam("number")
)
# Of several uploads of one commit the latest counts.
_OF_COMMIT = (
    select(_submissions.c.release_id)
    .where(_submissions.c.site_id == bindparam("site"))
    .where(_submissions.c.commit == bindparam("commit"))
    .order_by(_submissions.c.id.desc())
    .limit(1)
)
_GOOD = select(*_RELEASE).where(
    _releases.c.id.in_(bindparam("ids", expanding=True)),
    _releases.c.state == ReleaseState.READY,
    _releases.c.verified_at.is_not(None),
    _releases.c.bad.is_(False),
)
_WITH_LIVE = select(
    *_ENVIRONMENT,
    *_RELEASE,
    select(_promotions.c.id)
    .where(
        _promotions.c.environment_id == _environments.c.id,
        _promotions.c.slot == RUNNING_SLOT,
    )
    .exists(),
).select_from(_environments.outerjoin(_releases, _releases.c.id == _environments.c.release_id))
_LOCKED = _WITH_LIVE.where(_environments.c.id == bindparam("id")).with_for_update(of=_environments)
_NAMED = _WITH_LIVE.where(
    _environments.c.site_id == bindparam("site"), _environments.c.name == bindparam("name")
)
_LOCKING = {statement: statement.with_for_update() for statement in (_BY_ID, _BY_NUMBER)}


def locked_environment(connection: Connection, environment_id: int) -> EnvironmentFacts:
    """Lock an environment and read it with the release that is live, in one statement.

    Raises:
        NoResultFound: it is gone.
    """
    return _environment(connection.execute(_LOCKED, {"id": environment_id}).one())


def environment_named(
    connection: Connection, *, site_id: int, name: str
) -> EnvironmentFacts | None:
    """Return an environment with the release that is live, None when there is none."""
    row = connection.execute(_NAMED, {"site": site_id, "name": name}).one_or_none()
    return None if row is None else _environment(row)


def _environment(row: AnyRow) -> EnvironmentFacts:
    live = None if row[_OWN] is None else ReleaseFacts._make(row[_OWN:-1])
    return EnvironmentFacts(live, row[-1], *row[:_OWN])


def named_release(
    connection: Connection,
    *,
    site_id: int,
    reference: int | str,
    pointer: str = "/release",
    lock: bool = False,
) -> ReleaseFacts:
    """Return the release that a number or `commit:<sha>` names.

    A large upload gets its number before its content is known. When that turns out to be there
    already the number stands for the older release.

    Args:
        connection: where to read.
        site_id: the site.
        reference: number or commit.
        pointer: which input it was.
        lock: hold the row until the end of the unit of work.

    Raises:
        InvalidInputError: there is none.
    """
    if isinstance(reference, int):
        asked: dict[str, object] = {"site": site_id, "number": reference}
        found = _release(connection, _BY_NUMBER, asked, lock)
    else:
        found = _of_commit(connection, site_id, reference.removeprefix(COMMIT_PREFIX), lock)
    if found is None:
        raise InvalidInputError.field(
            pointer, "The site has no such release.", code="unknown_release"
        )
    if found.same_as_id is None:
        return found
    return release_by_id(connection, found.same_as_id, lock=lock)


def release_by_id(connection: Connection, release_id: int, *, lock: bool = False) -> ReleaseFacts:
    """Return a release that something refers to.

    Raises:
        LookupError: there is none.
    """
    found = _release(connection, _BY_ID, {"id": release_id}, lock)
    if found is None:
        raise LookupError(f"no release {release_id}")
    return found


def earlier_releases(connection: Connection, ids: Sequence[int]) -> list[ReleaseFacts]:
    """Return those of some releases that may be shown again, in the order of `ids`."""
    rows = connection.execute(_GOOD, {"ids": list(ids)})
    good = {row.id: ReleaseFacts._make(row) for row in rows}
    return [good[key] for key in ids if key in good]


def locked(connection: Connection, release: ReleaseFacts) -> ReleaseFacts:
    """Lock a release that was read in this unit of work, and read it again.

    On SQLite nobody else can write meanwhile.
    """
    if connection.dialect.name == "sqlite":
        return release
    return release_by_id(connection, release.id, lock=True)


def _of_commit(
    connection: Connection, site_id: int, commit: str, lock: bool
) -> ReleaseFacts | None:
    asked = {"site": site_id, "commit": commit}
    found = connection.execute(_OF_COMMIT, asked).scalar_one_or_none()
    return None if found is None else _release(connection, _BY_ID, {"id": found}, lock)


def _release(
    connection: Connection, statement: Select[Any], asked: dict[str, object], lock: bool
) -> ReleaseFacts | None:
    row = connection.execute(_LOCKING[statement] if lock else statement, asked).one_or_none()
    return None if row is None else ReleaseFacts._make(row)
