"""Pack a folder the way an upload is expected to look."""

import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from storage.errors import FileMissingError


def pack_directory(folder: Path) -> BinaryIO:
    """Return a tar of all regular files below `folder`, as an open temporary file.

    Links are not followed and not packed; dot-files are, so that the rules for uploads decide.

    Raises:
        FileMissingError: the folder does not exist or holds no file.
    """
    packed = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        count = 0
        for path in _files(folder):
            archive.add(path, arcname=path.relative_to(folder).as_posix(), recursive=False)
            count += 1
    if not count:
        packed.close()
        raise FileMissingError(f"There is no file below {folder}.")
    packed.seek(0)
    return cast(BinaryIO, packed)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path
