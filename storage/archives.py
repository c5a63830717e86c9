"""What kind of archive an upload is, told from its bytes and never from its name."""

from collections.abc import Iterator
from functools import partial
from typing import Protocol

from storage.errors import ArchiveRefusedError
from storage.gzip_stream import GzipStream, PlainStream
from storage.inventory import ArchiveEntry, ArchiveLimits, Inventory, Strip
from storage.rules import ArchiveRule
from storage.spool import Spool
from storage.tar_headers import BLOCK, ZEROS, is_tar_header
from storage.tar_reader import TarReader
from storage.zip_reader import ZipReader

__all__ = ["ArchiveEntry", "ArchiveLimits", "ArchiveReader", "Inventory", "Strip", "open_archive"]


class ArchiveReader(Protocol):
    """An archive whose every name, type and size was read and accepted."""

    def contents(self) -> Iterator[tuple[ArchiveEntry, Iterator[bytes]]]: ...


def open_archive(spool: Spool, inventory: Inventory) -> ArchiveReader:
    """Read the structure of the whole archive into `inventory`.

    Raises:
        ArchiveRefusedError: it is no archive or breaks a rule.
        LimitReachedError: it says that it holds more than is allowed.
    """
    start = spool.read_at(0, BLOCK)
    if not start:
        raise ArchiveRefusedError(ArchiveRule.EMPTY_UPLOAD)
    if start[:4] in (b"PK\3\4", b"PK\5\6"):
        return ZipReader(spool, inventory)
    if start[:3] == b"\x1f\x8b\x08":
        return _tar(partial(GzipStream, spool), inventory)
    return _tar(partial(PlainStream, spool), inventory)


def _tar(
    open_stream: partial[GzipStream] | partial[PlainStream], inventory: Inventory
) -> TarReader:
    first = open_stream().read(BLOCK)
    if not is_tar_header(first) and first != ZEROS:
        raise ArchiveRefusedError(ArchiveRule.UNKNOWN_FORMAT)
    return TarReader(open_stream, inventory)
