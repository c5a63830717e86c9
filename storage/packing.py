"""Pack a folder the way an upload is expected to look."""

import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from storage.errors import FileMissingError


def pack_directory(folder: Path, *, packed: Callable[[int], object] | None = None) -> BinaryIO:
    """Return a tar of all files below `folder`, as an open temporary file.

    Symbolic links are packed as links and dot-files too, so that the rules for uploads decide.

    Args:
        folder: what to pack.
        packed: called with the size in bytes of each file once it is in the archive.

    Raises:
        FileMissingError: the folder does not exist or holds no file.
    """
    packing = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    try:
        _pack(folder, packing, packed or _nobody)
    except BaseException:
        packing.close()
        raise
    packing.seek(0)
    return cast(BinaryIO, packing)


def folder_bytes(folder: Path) -> int:
    """Return how many bytes `pack_directory` will read."""
    return sum(path.lstat().st_size for path in _files(folder))


def _pack(folder: Path, target: IO[bytes], packed: Callable[[int], object]) -> None:
    count = 0
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _files(folder):
            _add(archive, path, path.relative_to(folder).as_posix())
            packed(path.lstat().st_size)
            count += 1
    if not count:
        raise FileMissingError(f"There is no file below {folder}.")


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add one file; two names of one file are two files, as they are for visitors."""
    info = archive.gettarinfo(path, arcname=name)
    if info.islnk():
        info.type, info.linkname, info.size = tarfile.REGTYPE, "", path.lstat().st_size
    if not info.isreg():
        archive.addfile(info)
        return
    with path.open("rb") as content:
        archive.addfile(info, content)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path


def _nobody(_size_bytes: int) -> None:
    """Tell nobody."""
