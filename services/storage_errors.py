"""Turn what the store reports into errors that callers can act on."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import (
    ConflictError,
    ErrorCode,
    FieldError,
    InsufficientDiskError,
    InvalidInputError,
    LimitExceededError,
)
from storage.errors import (
    ArchiveRefusedError,
    DamagedReleaseError,
    DiskFullError,
    LimitReachedError,
    ReleaseMissingError,
    SecretFileError,
)

MAX_NAMED_FILES = 20


@contextmanager
def translated_storage_errors() -> Iterator[None]:
    """Raise domain errors for the refusals of the store.

    Raises:
        InvalidInputError: `archive_invalid` naming entry and rule, or `secret_file`.
        LimitExceededError: a limit, with its setting.
        InsufficientDiskError: the disk is full.
        ConflictError: `release_not_ready`, the files of a release are gone.
    """
    try:
        yield
    except ArchiveRefusedError as error:
        raise InvalidInputError(
            str(error),
            code=ErrorCode.ARCHIVE_INVALID,
            members={"entry": error.entry, "rule": error.rule},
        ) from error
    except SecretFileError as error:
        raise _secret_files(error) from error
    except LimitReachedError as error:
        raise _limit_reached(error) from error
    except DiskFullError as error:
        raise InsufficientDiskError(
            "The disk is full. Nothing was changed; free some space and try again."
        ) from error
    except (ReleaseMissingError, DamagedReleaseError) as error:
        raise ConflictError(
            "The files of this release are gone or damaged; upload its content again.",
            code=ErrorCode.RELEASE_NOT_READY,
        ) from error


def _secret_files(error: SecretFileError) -> InvalidInputError:
    named = error.paths[:MAX_NAMED_FILES]
    return InvalidInputError(
        "The archive contains files that look secret. Remove them, or say "
        "allow_secret_files=true if they are meant to be published.",
        code=ErrorCode.SECRET_FILE,
        members={"paths": list(named), "path_count": len(error.paths)},
        errors=[FieldError("", "secret_file", f"{path} looks secret") for path in named],
    )


def _limit_reached(error: LimitReachedError) -> LimitExceededError:
    refusal = LimitExceededError.of(
        str(error),
        limit=error.limit,
        actual=error.actual,
        setting=error.setting,
        code=ErrorCode.BODY_TOO_LARGE
        if error.setting == "MAX_UPLOAD_BYTES"
        else ErrorCode.QUOTA_EXCEEDED,
    )
    if error.entry is not None:
        refusal.members["entry"] = error.entry
    return refusal
