"""Name the failures of the environment, so that every door can answer them alike."""

import errno

from sqlalchemy.exc import DBAPIError, InterfaceError, NoResultFound, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import ObjectDeletedError

from core.errors import DomainError, InsufficientDiskError, NotFoundError, UnavailableError
from models.servers import error_code
from services.transaction import is_collision

RETRY_SECONDS = 2
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
# SQLSTATEs of PostgreSQL, numbers of MariaDB.
SERVER_DISK_FULL = ("53100", 1021, 1114)
LOCK_WAITS = ("55P03", 1205)
READ_ONLY = "25006"
NO_TABLE = ("42P01", 1146)


def as_domain_error(error: Exception) -> DomainError | None:
    """Return what an unexpected exception means to callers, or None when it is a fault of ours.

    A database that is away, locked or has no free connection is 503; a full disk is 507; a row
    that somebody else deleted while the work went on is 404.
    """
    if isinstance(error, ObjectDeletedError | NoResultFound):
        return NotFoundError("It was deleted while this went on.")
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return _disk_full()
    if isinstance(error, DBAPIError) and _says_disk_full(error):
        return _disk_full()
    if isinstance(error, DBAPIError) and (is_collision(error) or error_code(error) in LOCK_WAITS):
        return UnavailableError(
            "Others are changing the same things; try again.", retry_after_seconds=RETRY_SECONDS
        )
    if isinstance(error, DBAPIError) and error_code(error) in (READ_ONLY, *NO_TABLE):
        return UnavailableError(
            "The database is not ready for this.", retry_after_seconds=RETRY_SECONDS
        )
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return UnavailableError(
            "The database does not answer at the moment.", retry_after_seconds=RETRY_SECONDS
        )
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return UnavailableError(
            "The connection to the database was lost.", retry_after_seconds=RETRY_SECONDS
        )
    return None


def _says_disk_full(error: DBAPIError) -> bool:
    return error_code(error) in SERVER_DISK_FULL or "disk is full" in str(error.orig)


def _disk_full() -> InsufficientDiskError:
    return InsufficientDiskError("The disk is full; nothing was changed.")
