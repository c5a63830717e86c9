"""Rollback with nothing but the disk: for the hour in which API and database are down.

Nothing here asks the database. The journal beside the pointer keeps who did it and why, and
recovery writes the promotion as soon as the database is back.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from core.clock import isoformat, utc_now
from core.errors import (
    ConflictError,
    ErrorCode,
    InsufficientDiskError,
    InvalidInputError,
    NotFoundError,
    OperationFailedError,
)
from core.extensions import site_store
from services import switching
from services.names import is_environment, is_slug
from services.pointer_state import readable_journal
from storage.errors import DamagedReleaseError, DiskFullError, ReleaseMissingError, StorageError
from storage.journals import HistoryEntry
from storage.locks import LockBusyError, file_lock, pointer_lock_path

TURN_SECONDS = 10.0
DIGEST_PREFIX_DIGITS = 12
DIGEST_PREFIX = re.compile(rf"[0-9a-f]{{{DIGEST_PREFIX_DIGITS},64}}")


@dataclass(frozen=True, kw_only=True)
class OfflineMove:
    """What an offline rollback did; `release` is None when the disk does not know the number."""

    site: str
    environment: str
    release: int | None
    digest: str
    previous_digest: str | None
    generation: int
    by: str
    reason: str | None
    at: str


def roll_back_offline(
    *, slug: str, environment: str, to: str | None, by: str, reason: str | None
) -> OfflineMove:
    """Show an earlier release again without the database.

    Args:
        slug: the site.
        environment: the environment.
        to: number of a release that this environment has shown, as far back as its journal
            tells, or the first 12 digits of a digest or more; None means what was shown before
            the present release.
        by: who asks, as the history is to name them.
        reason: why; becomes the reason of the hold when the rollback is imported.

    Raises:
        NotFoundError: this disk has no such site, or the site no such environment.
        InvalidInputError: `to` is neither a number nor the beginning of a digest, or it begins
            more than one.
        ConflictError: `release_not_ready`, there is nothing to return to, this environment never
            showed it, or its files were changed; `promotion_in_progress`.
        InsufficientDiskError: there is no space for a journal of some hundred bytes.
        OperationFailedError: the pointer could not be moved.
    """
    _check_place(slug, environment)
    with _turn(slug, environment), _told():
        journal = site_store().rollback_offline(
            slug,
            environment,
            to_digest=None if to is None else _digest(slug, environment, to),
            by=by,
            reason=reason,
            at=isoformat(utc_now()),
        )
    return OfflineMove(
        site=slug,
        environment=environment,
        release=journal.release,
        digest=journal.to_digest,
        previous_digest=journal.from_digest,
        generation=journal.generation,
        by=by,
        reason=reason,
        at=journal.at,
    )


def _check_place(slug: str, environment: str) -> None:
    """Refuse what was never served: a typing error must not make a new environment."""
    layout = site_store().layout
    if not is_slug(slug) or not layout.site(slug).is_dir():
        raise NotFoundError("There is no such site on this disk.")
    if not is_environment(environment) or not (
        layout.pointer(slug, environment).is_symlink() or layout.journal(slug, environment).exists()
    ):
        raise NotFoundError("The site has shown nothing in such an environment.")


@contextmanager
def _turn(slug: str, environment: str) -> Iterator[None]:
    """Take turns with promotions; one that hangs on the database ends with its process."""
    lock = pointer_lock_path(site_store().layout.root, slug, environment)
    try:
        with file_lock(lock, wait_seconds=TURN_SECONDS):
            yield
    except LockBusyError as error:
        raise switching.in_progress() from error


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ReleaseMissingError as error:
        raise ConflictError(str(error), code=ErrorCode.RELEASE_NOT_READY) from error
    except DamagedReleaseError as error:
        raise ConflictError(
            "The files of this release were changed; name another one.",
            code=ErrorCode.RELEASE_NOT_READY,
            members={"missing": list(error.missing), "changed": list(error.changed)},
        ) from error
    except DiskFullError as error:
        raise InsufficientDiskError("The disk is full; nothing was switched.") from error
    except StorageError as error:
        raise OperationFailedError(str(error)) from error


def _digest(slug: str, environment: str, to: str) -> str:
    """Return the digest that a number or the beginning of a digest names.

    Where the journal is lost nobody knows what was shown, and a digest may be any release.
    """
    journal = readable_journal(slug=slug, environment=environment)
    shown = (*journal.history, *journal.base) if journal else ()
    if to.isascii() and to.isdigit() and len(to) < DIGEST_PREFIX_DIGITS:
        found = {entry.digest for entry in shown if entry.release == int(to)}
    elif DIGEST_PREFIX.fullmatch(to):
        known = {entry.digest for entry in shown} if journal else site_store().releases(slug)
        found = {digest for digest in known if digest.startswith(to)}
    else:
        raise InvalidInputError.field(
            "/release", "This is neither a number nor 12 digits of a digest.", code="invalid"
        )
    if len(found) > 1:
        raise InvalidInputError.field(
            "/release", "More than one digest begins like this.", code="ambiguous"
        )
    if not found:
        raise _never_shown(environment, shown)
    return found.pop()


def _never_shown(environment: str, shown: Sequence[HistoryEntry]) -> ConflictError:
    numbers = sorted({entry.release for entry in shown if entry.release is not None})
    return ConflictError(
        f"{environment} has not shown this release, as far as its journal tells. It tells of: "
        f"{', '.join(map(str, numbers)) or 'none'}.",
        code=ErrorCode.RELEASE_NOT_READY,
        members={"shown": numbers},
    )
