"""Name the failures of the environment, so that every door can answer them alike."""

import errno

from sqlalchemy.exc import DBAPIError, InterfaceError, NoResultFound, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import ObjectDeletedError

from core.errors import DomainError, InsufficientDiskError, NotFoundError, UnavailableError
from models.engine import NoDatabaseError
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
    if isinstance(error, PoolTimeoutError):
        return _unavailable("The database does not answer at the moment.")
    return _of_database(error) if isinstance(error, DBAPIError) else None


def _of_database(error: DBAPIError) -> DomainError | None:
    if _says_disk_full(error):
        return _disk_full()
    if is_collision(error) or error_code(error) in LOCK_WAITS:
        return _unavailable("Others are changing the same things; try again.")
    if _lacks_tables(error):
        return _unavailable("The database has not been set up yet; run: relevo setup")
    if error_code(error) == READ_ONLY:
        return _unavailable("The database is not ready for this.")
    if isinstance(error, OperationalError | InterfaceError):
        return _unavailable("The database does not answer at the moment.")
    if error.connection_invalidated:
        return _unavailable("The connection to the database was lost.")
    return None


def _unavailable(detail: str) -> UnavailableError:
    return UnavailableError(detail, retry_after_seconds=RETRY_SECONDS)


def _lacks_tables(error: DBAPIError) -> bool:
    lacks = isinstance(error.orig, NoDatabaseError) or "no such table" in str(error.orig)
    return lacks or error_code(error) in NO_TABLE


def _says_disk_full(error: DBAPIError) -> bool:
    return error_code(error) in SERVER_DISK_FULL or "disk is full" in str(error.orig)


def _disk_full() -> InsufficientDiskError:
    return InsufficientDiskError("The disk is full; nothing was changed.")
