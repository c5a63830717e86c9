"""What a promotion is refused for: locks, holds, wrong beliefs, unfit releases."""

from dataclasses import dataclass
from enum import Enum, StrEnum

from core.errors import ConflictError, ErrorCode, PreconditionError
from core.extensions import site_store
from services import plans
from services.actors import Actor, Via
from services.environments import is_locked
from services.promotion_facts import AnyEnvironment, AnyRelease

ON_PURPOSE = frozenset({Via.SESSION, Via.CLI})
"""How people come in. What anything else does is automation, and a rollback's hold stops it."""


class Unset(Enum):
    """Tells a missing input from one that is null."""

    UNSET = "unset"


class Approval(StrEnum):
    """What to do where an approval is needed and there is none."""

    REQUEST = "request"
    REFUSE = "refuse"


@dataclass(frozen=True, kw_only=True)
class PromotionOrder:
    """What to promote where, and what the caller believes to be true.

    Without `release` the source environment's release is promoted, without `from_environment`
    the source is the environment one rank below. `expected_release` is the number that must be
    live now, None for "nothing yet".
    """

    to: str
    from_environment: str | None = None
    release: int | str | None = None
    expected_release: int | Unset | None = Unset.UNSET
    plan_hash: str | None = None
    comment: str | None = None
    allow_older: bool = False
    allow_bad: bool = False
    approval: Approval = Approval.REQUEST


def check(
    *,
    actor: Actor,
    slug: str,
    environment: AnyEnvironment,
    candidate: AnyRelease,
    order: PromotionOrder,
) -> None:
    """Refuse what must not be promoted now; call with the environment locked.

    Raises:
        ConflictError: as `promote` does.
        PreconditionError: `base_changed`.
    """
    check_gates(actor=actor, environment=environment)
    check_beliefs(environment=environment, candidate=candidate, order=order)
    if environment.release_id == candidate.id:
        return
    if candidate.bad and not order.allow_bad:
        raise ConflictError(
            "This release is marked bad; say allow_bad to promote it all the same.",
            code=ErrorCode.RELEASE_MARKED_BAD,
        )
    live = environment.release
    if live is not None and not order.allow_older and is_older(candidate, live):
        raise ConflictError(
            f"Release {candidate.number} was last uploaded before release {live.number}, which "
            "is live; say allow_older to promote it all the same, or roll back.",
            code=ErrorCode.OLDER_RELEASE,
            members={"release": candidate.number, "live_release": live.number},
        )
    check_tree(slug=slug, environment=environment, candidate=candidate)


def is_older(candidate: AnyRelease, live: AnyRelease) -> bool:
    """Tell whether `candidate` was last submitted before `live`."""
    return (candidate.latest_submission_id or 0) < (live.latest_submission_id or 0)


def check_gates(*, actor: Actor, environment: AnyEnvironment) -> None:
    """Refuse what a lock or a hold stops, whatever is to be promoted.

    Raises:
        ConflictError: `environment_locked` or `environment_held`.
    """
    if is_locked(environment=environment):
        raise ConflictError(
            f"The environment is locked by {environment.locked_by}: {environment.lock_reason}",
            code=ErrorCode.ENVIRONMENT_LOCKED,
            members={"allowed_actions": ["unlock", "rollback"]},
        )
    require_no_hold(actor=actor, environment=environment)


def require_no_hold(*, actor: Actor, environment: AnyEnvironment) -> None:
    """Refuse automation where a rollback's hold keeps it out.

    Raises:
        ConflictError: `environment_held`.
    """
    if environment.held_at is not None and actor.via not in ON_PURPOSE:
        raise ConflictError(
            f"The environment is held since a rollback by {environment.held_by}. A person who is "
            "signed in may promote on purpose or lift the hold.",
            code=ErrorCode.ENVIRONMENT_HELD,
            members={"allowed_actions": ["lift_hold"]},
        )


def check_beliefs(
    *, environment: AnyEnvironment, candidate: AnyRelease, order: PromotionOrder
) -> None:
    """Refuse an order that takes something for granted which does not hold.

    Raises:
        PreconditionError: `base_changed`.
        ConflictError: `plan_changed`.
    """
    live = environment.release.number if environment.release else None
    if order.expected_release is not Unset.UNSET and order.expected_release != live:
        raise PreconditionError(
            "Another release is live than the one you expected.",
            code=ErrorCode.BASE_CHANGED,
            members={"live_release": live},
        )
    present = plans.hash_of(environment=environment, candidate=candidate)
    if order.plan_hash is not None and order.plan_hash != present:
        raise ConflictError(
            "What this promotion would change is not what the plan showed; look at it again.",
            code=ErrorCode.PLAN_CHANGED,
            members={"plan_hash": present},
        )


def check_tree(*, slug: str, environment: AnyEnvironment, candidate: AnyRelease) -> None:
    """Refuse to switch to files that are not verified, or away from ones that are not kept.

    Verification happened when the upload ended and is repeated in the background, so this does
    not depend on the number of files.

    Raises:
        ConflictError: `release_not_ready` or `backup_failed`.
    """
    store = site_store()
    if candidate.verified_at is None or not store.has_release(slug, candidate.digest):
        raise ConflictError(
            "The files of this release are not verified; upload it again.",
            code=ErrorCode.RELEASE_NOT_READY,
        )
    previous = environment.release
    if previous is not None and (
        previous.verified_at is None or not store.has_release(slug, previous.digest)
    ):
        raise ConflictError(
            "The release that is live now is damaged, so it cannot be kept as a restore point. "
            "Upload its content again to heal it.",
            code=ErrorCode.BACKUP_FAILED,
            members={"release": previous.number},
        )
