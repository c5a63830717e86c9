"""Files of releases on their way out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from core.errors import ConflictError, ErrorCode, NotFoundError
from core.extensions import site_store
from models.releases import ReleaseState
from services import releases
from services.actors import Actor
from services.storage_errors import translated_storage_errors
from services.transaction import end_reading
from storage.errors import FileMissingError
from storage.manifests import ManifestEntry

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class ManifestView:
    """All files of a release."""

    digest: str
    file_count: int
    size_bytes: int
    entries: Sequence[ManifestEntry]


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file, open; call `close` when its chunks were sent or are not wanted."""

    chunks: Iterator[bytes]
    size_bytes: int
    sha256: str
    close: Callable[[], None]


def manifest_of(*, actor: Actor, slug: str, number: int) -> ManifestView:
    """Return the files of a release, also of one whose files were deleted.

    Raises:
        NotFoundError: site or release do not exist or may not be seen.
        ConflictError: `release_not_ready`, the manifest is gone or damaged.
    """
    digest = _digest(actor, slug, number)
    end_reading()
    with translated_storage_errors():
        manifest = site_store().manifest(slug, digest)
    return ManifestView(
        digest=digest,
        file_count=manifest.file_count,
        size_bytes=manifest.size_bytes,
        entries=manifest.entries,
    )


def file_of(*, actor: Actor, slug: str, number: int, path: str) -> Download:
    """Open one file of a release.

    Raises:
        NotFoundError: site, release or file do not exist or may not be seen.
        ConflictError: `release_not_ready`, the files are gone.
    """
    digest = _digest(actor, slug, number, needs_files=True)
    end_reading()
    try:
        with translated_storage_errors():
            file, entry = site_store().open_file(slug, digest, path)
    except FileMissingError as error:
        raise NotFoundError("The release has no such file.") from error
    return Download(
        chunks=_chunks(file), size_bytes=entry.size_bytes, sha256=entry.sha256, close=file.close
    )


def archive_of(*, actor: Actor, slug: str, number: int) -> Iterator[bytes]:
    """Return a release as the chunks of a tar.gz; equal releases give equal bytes.

    Raises:
        NotFoundError: site or release do not exist or may not be seen.
        ConflictError: `release_not_ready`, the files are gone.
    """
    digest = _digest(actor, slug, number, needs_files=True)
    end_reading()
    with translated_storage_errors():
        return site_store().iter_archive(slug, digest)


def _digest(actor: Actor, slug: str, number: int, *, needs_files: bool = False) -> str:
    release = releases.original(releases.get_release(actor=actor, slug=slug, number=number))
    if release.state in (ReleaseState.PROCESSING, ReleaseState.FAILED):
        raise ConflictError(
            f"The release is {release.state.value}; it has no files.",
            code=ErrorCode.RELEASE_NOT_READY,
            members={"job": release.job_id},
        )
    if needs_files and release.state is ReleaseState.ARCHIVED:
        raise ConflictError(
            "The files of this release were deleted; upload its content again.",
            code=ErrorCode.RELEASE_NOT_READY,
        )
    return release.digest


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
