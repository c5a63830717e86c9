"""What the types of requests ask for, and how that is put into a request."""

from dataclasses import dataclass

from sqlalchemy import select

from core.errors import ErrorCode, InvalidInputError
from models.engine import db
from models.releases import Release
from models.requests import ChangeRequest, RequestType
from models.roles import Role
from models.sites import Site
from models.users import User
from services import plans
from services.permissions import RoleKind

STANDARD_TARGET = "main"
LONGEST_GRANT_HOURS = 720


@dataclass(frozen=True, kw_only=True)
class PromotionPayload:
    """Show a release; without one what the source environment shows when this is filed."""

    from_environment: str | None = None
    release: int | str | None = None
    comment: str | None = None
    allow_older: bool = False
    allow_bad: bool = False


@dataclass(frozen=True, kw_only=True)
class AccessPayload:
    """Give a user a site role for a time that starts when it is carried out."""

    username: str
    role: str
    duration_hours: int


@dataclass(frozen=True, kw_only=True)
class DatabasePayload:
    """Do something to a database."""

    action: str


@dataclass(frozen=True, kw_only=True)
class GeneralPayload:
    """Nothing that Relevo does itself: the words say it all."""


Payload = PromotionPayload | AccessPayload | DatabasePayload | GeneralPayload


def put(*, request: ChangeRequest, payload: Payload) -> None:
    """Write what is asked for into a request, names looked up and the release pinned.

    Raises:
        InvalidInputError: something named does not exist; `unsupported_request` for databases.
        ConflictError: `release_not_ready`, there is nothing to promote.
    """
    if isinstance(payload, PromotionPayload):
        _put_promotion(request, payload)
    elif isinstance(payload, AccessPayload):
        _put_access(request, payload)
    elif isinstance(payload, GeneralPayload):
        _refuse_environment(request)
        request.payload = {}
    else:
        raise unsupported()


def require_environment(*, request: ChangeRequest) -> None:
    """Refuse an environment that the site does not have, or that this type has no use for.

    Raises:
        InvalidInputError: it does not fit.
    """
    if request.type is not RequestType.PROMOTION:
        _refuse_environment(request)
        return
    name = request.environment or STANDARD_TARGET
    plans.environment_named(site=_site(request), name=name, pointer="/environment")


def target_of(*, kind: RequestType, environment: str | None) -> str | None:
    """Return the environment that a request is about: `main` for a promotion that names none."""
    return environment or (STANDARD_TARGET if kind is RequestType.PROMOTION else None)


def unsupported() -> InvalidInputError:
    """Return the refusal of requests that nothing could carry out."""
    return InvalidInputError(
        "This installation cannot carry out requests for databases yet.",
        code=ErrorCode.UNSUPPORTED_REQUEST,
    )


def _put_promotion(request: ChangeRequest, payload: PromotionPayload) -> None:
    site = _site(request)
    request.environment = request.environment or STANDARD_TARGET
    target = plans.environment_named(site=site, name=request.environment, pointer="/environment")
    release, source = plans.source_release(
        site=site,
        to=target,
        from_environment=payload.from_environment,
        release=payload.release,
        where="/payload/",
    )
    request.release = db.session.get_one(Release, release.id)
    request.payload = {
        "from": source,
        "release": release.number,
        "comment": payload.comment,
        "allow_older": payload.allow_older,
        "allow_bad": payload.allow_bad,
    }


def _put_access(request: ChangeRequest, payload: AccessPayload) -> None:
    _site(request)
    _refuse_environment(request)
    user = db.session.scalar(
        select(User).where(User.username == payload.username, User.is_active.is_(True))
    )
    if user is None:
        raise InvalidInputError.field(
            "/payload/username", "There is no such active user.", code="unknown"
        )
    role = select(Role.id).where(Role.name == payload.role, Role.kind == RoleKind.SITE.value)
    if db.session.scalar(role) is None:
        raise InvalidInputError.field(
            "/payload/role", "There is no such site role.", code="unknown"
        )
    request.beneficiary = user
    request.payload = {"role": payload.role, "duration_hours": payload.duration_hours}


def _site(request: ChangeRequest) -> Site:
    if request.site is None:
        raise InvalidInputError.field(
            "/site", "A request of this type is about a site.", code="required"
        )
    return request.site


def _refuse_environment(request: ChangeRequest) -> None:
    if request.environment is not None:
        raise InvalidInputError.field(
            "/environment", "Requests of this type name no environment.", code="no_environment"
        )


def kind_of(*, payload: Payload) -> RequestType:
    """Return the type a payload belongs to."""
    kinds = {
        PromotionPayload: RequestType.PROMOTION,
        AccessPayload: RequestType.ACCESS,
        DatabasePayload: RequestType.DATABASE,
        GeneralPayload: RequestType.GENERAL,
    }
    return kinds[type(payload)]
