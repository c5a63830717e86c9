"""Open the files of one release without ever leaving its folder."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from storage.errors import DamagedReleaseError

_FOLDER_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a planted FIFO must not hold the thread.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class OpenFile:
    """An open regular file whose bytes stay readable when its release is deleted.

    Has what `wsgi.file_wrapper` and `socket.sendfile` ask for.
    """

    mode = "rb"

    def __init__(self, fd: int, size_bytes: int) -> None:
        self._fd = fd
        self.size_bytes = size_bytes
        self._on_close: Callable[[], None] | None = None

    def call_when_closed(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once, after the last byte was sent or the sending failed."""
        self._on_close = callback

    def fileno(self) -> int:
        """Return the descriptor, for sendfile(2)."""
        return self._fd

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a byte."""
        return os.lseek(self._fd, offset, whence)

    def tell(self) -> int:
        """Return the byte that is read next."""
        return os.lseek(self._fd, 0, os.SEEK_CUR)

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes; everything that is left when negative."""
        return os.read(self._fd, self.size_bytes if size < 0 else size)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if self._on_close is not None:
            self._on_close()


def open_file(folder: Path | str, path: str) -> OpenFile:
    """Open the regular file `path` below `folder`; no component may be a symbolic link.

    Raises:
        DamagedReleaseError: there is no such regular file.
    """
    try:
        fd = _open_beneath(str(folder), path.split("/"))
    except OSError as error:
        raise DamagedReleaseError("A file cannot be opened.", missing=(path,)) from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise DamagedReleaseError("A file is not a regular one.", changed=(path,))
    return OpenFile(fd, status.st_size)


def _open_beneath(folder: str, segments: list[str]) -> int:
    folder_fd = os.open(folder, _FOLDER_FLAGS)
    try:
        for segment in segments[:-1]:
            inner_fd = os.open(segment, _FOLDER_FLAGS, dir_fd=folder_fd)
            os.close(folder_fd)
            folder_fd = inner_fd
        return os.open(segments[-1], _FILE_FLAGS, dir_fd=folder_fd)
    finally:
        os.close(folder_fd)
