"""The switch itself: intent row, journal, rename, outcome row; and what undoes a half of it.

Order: a verified tree, the row of intent, the journal file, the rename, the row of the outcome.
A promotion holds the lock file of its environment all the while; the kernel frees it when the
process dies, so whoever gets the lock and finds a running row knows that it was interrupted.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.orm import joinedload

from core.clock import isoformat, monotonic, utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    InsufficientDiskError,
    OperationFailedError,
)
from core.extensions import site_store
from core.hooks import Hook
from models.engine import db
from models.environments import Environment
from models.promotions import (
    Promotion,
    PromotionKind,
    PromotionState,
)
from models.releases import Release
from services import audit, pointer_state, promotion_rows
from services.access import AnySite
from services.actors import Actor
from services.pointer_state import Seen
from services.promotion_facts import RUNNING_SLOT, AnyEnvironment, AnyRelease
from services.promotion_rows import Move, Outcome
from services.transaction import end_reading, repeatable, transaction
from storage import failpoints
from storage.errors import DiskFullError, PointerError, StorageError
from storage.journals import HistoryEntry, Journal
from storage.locks import LockBusyError, file_lock, pointer_lock_path

PHASE_SWITCH = "switch"


def _nobody(**_circumstances: object) -> None:
    """Nobody wants to know."""


ended: Hook[..., None] = Hook(_nobody)
"""Called in the unit of work that writes the outcome of a promotion somebody asked for by a
request: with actor, request_id, promotion (its number), code and detail (None for success)."""

AFTER_INTENT = "promotion.after_intent"
AFTER_SWITCH = "promotion.after_switch"
AFTER_OUTCOME = "promotion.after_outcome"
ASKING_SECONDS = 0.1
failpoints.register(AFTER_INTENT, AFTER_SWITCH, AFTER_OUTCOME)


@dataclass(kw_only=True)
class Stopwatch:
    """Milliseconds of each phase of one promotion."""

    started: float = field(default_factory=monotonic)
    timings_ms: dict[str, float] = field(default_factory=dict)

    def lap(self, phase: str) -> None:
        """Note how long the phase that ends now took."""
        now = monotonic()
        self.timings_ms[phase] = round((now - self.started) * 1000, 3)
        self.started = now


@contextmanager
def environment_turn(*, slug: str, environment: str, wait_seconds: float = 0) -> Iterator[None]:
    """Be the only one that moves this pointer, on this host.

    Raises:
        ConflictError: `promotion_in_progress`, somebody else did not finish in time.
    """
    end_reading()
    path = pointer_lock_path(site_store().layout.root, slug, environment)
    try:
        with ExitStack() as turn:
            try:
                turn.enter_context(file_lock(path, wait_seconds=wait_seconds))
            except LockBusyError:
                if has_turn(slug=slug, environment=environment):
                    raise
                # Somebody only asked, as whoever looks at readiness does.
                turn.enter_context(file_lock(path, wait_seconds=ASKING_SECONDS))
            yield
    except LockBusyError as error:
        raise in_progress() from error


def has_turn(*, slug: str, environment: str) -> bool:
    """Tell whether somebody on this host moves this pointer just now.

    Those who ask are in nobody's way but for the moment of asking, and not in each other's.
    """
    path = pointer_lock_path(site_store().layout.root, slug, environment)
    try:
        with file_lock(path, exclusive=False, wait_seconds=0):
            return False
    except LockBusyError:
        return True


def locked_environment(*, environment_id: int) -> Environment:
    """Lock an environment and read it afresh with its site and release, in one statement."""
    return db.session.get_one(
        Environment,
        environment_id,
        options=(
            joinedload(Environment.site, innerjoin=True),
            joinedload(Environment.release),
        ),
        with_for_update={"of": Environment},
        populate_existing=True,
    )


def lock_release(release: Release) -> None:
    """Lock a release that this unit of work has read, and read it again where that can differ.

    On SQLite nobody else can write meanwhile.
    """
    if db.engine.dialect.name != "sqlite":
        db.session.refresh(release, with_for_update=True)


def in_progress() -> ConflictError:
    """Return the refusal for a second promotion into one environment."""
    return ConflictError(
        "A promotion into this environment is running.",
        code=ErrorCode.PROMOTION_IN_PROGRESS,
        members={"allowed_actions": ["retry"]},
        retry_after_seconds=1,
    )


def begin(
    *,
    actor: Actor,
    site: AnySite,
    environment: AnyEnvironment,
    release: AnyRelease,
    kind: PromotionKind,
    plan_hash: str | None = None,
    from_environment: str | None = None,
    comment: str | None = None,
    is_return: bool = False,
) -> Move:
    """Insert a running promotion; call inside the transaction that checked its guards.

    Raises:
        IntegrityError: another one holds the slot.
    """
    now = utc_now()
    connection = db.session.connection()
    return promotion_rows.insert_running(
        connection,
        release=release,
        previous=environment.release,
        is_return=is_return,
        values={
            "site_id": site.id,
            "environment_id": environment.id,
            "number": promotion_rows.next_number(connection, site.id),
            "kind": kind,
            "state": PromotionState.RUNNING,
            "phase": PHASE_SWITCH,
            "slot": RUNNING_SLOT,
            "from_environment": from_environment,
            "to_environment": environment.name,
            "generation": environment.generation + 1,
            "plan_hash": plan_hash,
            "user_id": actor.user_id,
            "via": actor.via.value,
            "comment": comment,
            "timings_ms": {},
            "created_at": now,
            "started_at": now,
        },
    )


def execute(*, actor: Actor, site: AnySite, promotion: Promotion, watch: Stopwatch) -> None:
    """Carry out a running promotion that the ORM has loaded; see `carry_out`.

    The row is read again when it is looked at.
    """
    move = promotion_rows.move_of(promotion)
    carry_out(actor=actor, site=site, move=move, watch=watch)


def carry_out(
    *,
    actor: Actor,
    site: AnySite,
    move: Move,
    watch: Stopwatch,
    hold: str | None = None,
    seen: Seen | None = None,
) -> Outcome | None:
    """Switch the pointer and write the outcome.

    Args:
        actor: who asked; named in the audit event.
        site: the site.
        move: a committed promotion that is running.
        watch: started when the request came in.
        hold: the reason of the hold to set, for rollbacks.
        seen: what the disk shows, when the caller has looked while holding the turn.

    Returns:
        What was written; None when somebody was faster.

    Raises:
        InsufficientDiskError: the journal could not be written; nothing was switched.
        OperationFailedError: the switch failed; the old release is still served.
    """
    slug, name = site.slug, move.to_environment
    before = seen.journal if seen else pointer_state.readable_journal(slug=slug, environment=name)
    journal = _journal(before, move)
    end_reading()
    failpoints.hit(AFTER_INTENT)
    try:
        site_store().switch(slug, name, journal)
    except (StorageError, OSError) as error:
        if not _shows(slug, name, move.digest):
            raise _failed(actor, site, move.id, error) from error
    failpoints.hit(AFTER_SWITCH)
    watch.lap("switch")
    outcome = _succeed(actor, site, move, watch, hold)
    failpoints.hit(AFTER_OUTCOME)
    return outcome


@repeatable()
def _succeed(
    actor: Actor, site: AnySite, move: Move, watch: Stopwatch, hold: str | None
) -> Outcome | None:
    with transaction() as session:
        return _write_success(session.connection(), actor, site, move, watch, hold)


@repeatable()
def succeed(*, actor: Actor, site: AnySite, promotion_id: int, hold: str | None = None) -> None:
    """Write for a promotion that was interrupted that its pointer was moved.

    One that has an outcome keeps it.
    """
    with transaction() as session:
        connection = session.connection()
        move = promotion_rows.running_move(connection, promotion_id)
        if move is not None:
            _write_success(connection, actor, site, move, None, hold)


def _write_success(
    connection: Connection,
    actor: Actor,
    site: AnySite,
    move: Move,
    watch: Stopwatch | None,
    hold: str | None,
) -> Outcome | None:
    """Write environment, restore point, audit and outbox at once."""
    outcome = promotion_rows.write_outcome(
        connection,
        move,
        timings_ms=watch.timings_ms if watch else {},
        held_by=actor.username or actor.via.value,
        hold_reason=hold,
    )
    if outcome is not None:
        _tell(actor, move.request_id, move.number)
        audit.record(
            actor=actor,
            action="promotion.succeeded",
            target=promotion_target(site=site, number=move.number),
            before={"release": move.previous_release},
            after={
                "release": move.release,
                "environment": move.to_environment,
                "kind": move.kind.value,
                "generation": move.generation,
            },
        )
    return outcome


@repeatable()
def fail(
    *, actor: Actor, site: AnySite, promotion_id: int, code: ErrorCode, detail: str
) -> Promotion:
    """Write that nothing was switched, and free the slot."""
    with transaction() as session:
        promotion = session.get_one(Promotion, promotion_id, populate_existing=True)
        if promotion.state is not PromotionState.RUNNING:
            return promotion
        promotion.state = PromotionState.FAILED
        promotion.slot = None
        promotion.error_code, promotion.error_detail = code.value, detail
        promotion.finished_at = utc_now()
        _tell(actor, promotion.request_id, promotion.number, code, detail)
        audit.record(
            actor=actor,
            action="promotion.failed",
            target=promotion_target(site=site, number=promotion.number),
            after={"code": code.value},
        )
        return promotion


def _tell(
    actor: Actor,
    request_id: int | None,
    number: int,
    code: ErrorCode | None = None,
    detail: str | None = None,
) -> None:
    if request_id is not None:
        ended(actor=actor, request_id=request_id, promotion=number, code=code, detail=detail)


def _shows(slug: str, environment: str, digest: str) -> bool:
    try:
        return site_store().pointer(slug, environment) == digest
    except (PointerError, OSError):
        return False


def promotion_target(*, site: AnySite, number: int) -> audit.Target:
    """Return the audit target of a promotion."""
    return audit.Target(type="promotion", id=f"{site.slug}/{number}", site_id=site.id)


def _journal(before: Journal | None, move: Move) -> Journal:
    old, generation = move.previous_digest, move.generation or 1
    if before is not None:
        shown_before = before.shown(old)
    elif old is not None:
        shown_before = (HistoryEntry(old, move.previous_release, None, generation - 1),)
    else:
        shown_before = ()
    entry = HistoryEntry(move.digest, move.release, move.number, generation, move.is_return)
    return Journal(
        generation=generation,
        promotion=move.number,
        from_digest=old,
        to_digest=move.digest,
        release=move.release,
        at=isoformat(utc_now()),
        history=(entry, *shown_before),
        base=before.base if before else (),
        offline=(),
        settings=before.settings if before else {},
    )


def _failed(
    actor: Actor, site: AnySite, promotion_id: int, error: Exception
) -> InsufficientDiskError | OperationFailedError:
    full = isinstance(error, DiskFullError)
    code = ErrorCode.INSUFFICIENT_DISK if full else ErrorCode.PROMOTION_FAILED
    detail = (
        "The disk is full; nothing was switched."
        if full
        else "The switch failed; the release before it is still served."
    )
    promotion = fail(actor=actor, site=site, promotion_id=promotion_id, code=code, detail=detail)
    kind = InsufficientDiskError if full else OperationFailedError
    return kind(detail, code=code, members={"promotion": promotion})
