"""A folder of this machine as an upload: packed, received, published, promoted if wanted."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.errors import DomainError, InvalidInputError
from models.promotions import Promotion
from services import promotions, publishing
from services.actors import Actor
from services.promotion_rules import PromotionOrder
from services.publishing import PublishedUpload
from services.releases import ReceiveOptions
from storage.errors import FileMissingError
from storage.packing import folder_bytes, pack_directory

Advance = Callable[[int], object]


@dataclass(frozen=True, kw_only=True)
class Push:
    """What a push made: the upload, and the promotion of exactly this release if asked for."""

    uploaded: PublishedUpload
    promotion: Promotion | None


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A packed folder; whoever packed it closes the stream."""

    stream: BinaryIO
    size_bytes: int


def size_of(*, folder: Path) -> int:
    """Return how many bytes packing will read, for whoever shows progress."""
    return folder_bytes(folder)


def pack(*, folder: Path, advance: Advance) -> Archive:
    """Pack a folder; `advance` is told the bytes of each file.

    Raises:
        InvalidInputError: the folder holds no file.
    """
    try:
        stream = pack_directory(folder, packed=advance)
    except FileMissingError as error:
        raise InvalidInputError.field("/dir", "There is no file in it.", code="empty") from error
    return Archive(stream=stream, size_bytes=os.fstat(stream.fileno()).st_size)


def push(
    *,
    actor: Actor,
    slug: str,
    archive: Archive,
    to: str | None = None,
    promote_to: str | None = None,
    options: ReceiveOptions | None = None,
    advance: Advance,
) -> Push:
    """Upload an archive and promote what became of it.

    Args:
        actor: who pushes.
        slug: the site.
        archive: what `pack` gave.
        to: where the upload is published; see `publishing.upload`.
        promote_to: an environment that is to show exactly this release.
        options: how to read it and what is said about it.
        advance: told the bytes of each part that was received.

    Raises:
        DomainError: as uploading and promoting do. When the upload was good and the promotion
            was not, the member `uploaded` names the release, which stays.
    """
    uploaded = publishing.upload(
        actor=actor, slug=slug, stream=_Counted(archive.stream, advance), to=to, options=options
    )
    if promote_to is None:
        return Push(uploaded=uploaded, promotion=None)
    number = uploaded.upload.release.number
    try:
        order = PromotionOrder(to=promote_to, release=number)
        promotion = promotions.promote(actor=actor, slug=slug, order=order)
    except DomainError as error:
        error.members["uploaded"] = number
        raise
    return Push(uploaded=uploaded, promotion=promotion)


class _Counted:
    """A stream that tells how far it was read."""

    def __init__(self, stream: BinaryIO, advance: Advance) -> None:
        self._stream = stream
        self._advance = advance

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._advance(len(data))
        return data
