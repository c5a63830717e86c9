"""How files become durable. Nothing else in Relevo renames, links into place or syncs.

The order is always: write beside, flush, fsync, rename, fsync the folder. A failed fsync is
final: the kernel may have dropped the pages, so a second fsync would report a false success.
"""

import ctypes
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from storage.errors import DiskFullError

CHUNK_BYTES = 256 * 1024
FILE_MODE = 0o444
FOLDER_MODE = 0o555
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_libc = ctypes.CDLL(None, use_errno=True)
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def disk_full_reported() -> Iterator[None]:
    """Turn "no space left" and "quota exceeded" into DiskFullError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise DiskFullError("The disk is full; nothing of this operation was kept.") from error
        raise


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """Yield a descriptor of the folder, never following a link in its last component."""
    descriptor = os.open(path, OPEN_FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    with opened_folder(path) as descriptor:
        os.fsync(descriptor)


def sync_file(descriptor: int) -> None:
    """Make the bytes of an open file durable; its name needs `sync_folder`."""
    os.fsync(descriptor)


def sync_filesystem(descriptor: int) -> None:
    """Make everything on the file system of an open descriptor durable.

    Errors of earlier writes are reported only since the descriptor was opened, so open it
    before the first write.
    """
    syncfs = getattr(_libc, "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, whatever the kernel takes at a time."""
    done = os.write(descriptor, data)
    while done < len(data):
        done += os.write(descriptor, memoryview(data)[done:])


def new_name(kind: str) -> str:
    """Return a name for the staging folder that nobody else uses."""
    return f"{kind}-{secrets.token_hex(8)}"


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Create a new file whose bytes are on disk when this returns; its name is not yet.

    Raises:
        FileExistsError: something has that name already.
    """
    descriptor = os.open(path, NEW_FILE, 0o600)
    try:
        write_all(descriptor, data)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_open_file(descriptor: int, path: Path, target: Path) -> None:
    """Give an open file a further name that is durable, bytes and all, when this returns.

    Args:
        descriptor: of the file.
        path: where it is found; below /proc for a file without a name.
        target: the new name, on the same file system.
    """
    os.fsync(descriptor)
    with opened_folder(target.parent) as folder:
        # With a folder given, the link of /proc is followed; without one Python would link it.
        os.link(path, target.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=True)
        os.fsync(folder)


def rename(source: Path, target: Path) -> None:
    """Put `source` in the place of `target`; durable after `sync_folder`."""
    os.rename(source, target)  # noqa: PTH104 - Path.rename also builds a path that nobody wants


def rename_at(source: str, target: str, *, source_folder: int, target_folder: int) -> None:
    """Rename between two open folders."""
    os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)


def exchange(first: Path, second: Path) -> None:
    """Swap two names in one step; where the file system cannot, in two."""
    renameat2 = getattr(_libc, "renameat2", None)
    names = (os.fsencode(first), os.fsencode(second))
    if renameat2 is not None:
        arguments = (_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
        if renameat2(*arguments) == 0:
            return
        if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(ctypes.get_errno(), "the exchange failed", str(first))
    aside = first.with_name(new_name("aside"))
    rename(second, aside)
    rename(first, second)
    rename(aside, first)


def make_folder(path: Path, *, mode: int = 0o755) -> None:
    """Create a folder unless it is there; the mode does not depend on the umask."""
    try:
        path.mkdir()
    except FileExistsError:
        return
    path.chmod(mode)


def remove_tree(path: Path) -> None:
    """Remove a folder with everything below, read-only folders too.

    What is gone already is fine: a sweeper may be at work on the same folder.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    with suppress(FileNotFoundError):
        path.chmod(0o700)
        for _, folders, _, descriptor in os.fwalk(path):
            for name in folders:
                _unseal_folder(name, descriptor)
    shutil.rmtree(path, onerror=_unless_gone)


def _unseal_folder(name: str, parent: int) -> None:
    if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        os.chmod(name, 0o700, dir_fd=parent)


def _unless_gone(
    _function: object, _path: str, caught: tuple[type[BaseException], BaseException, TracebackType]
) -> None:
    if not isinstance(caught[1], FileNotFoundError):
        raise caught[1]


def read_chunks(descriptor: int) -> Iterator[bytes]:
    """Yield a file's content from its present position."""
    while chunk := os.read(descriptor, CHUNK_BYTES):
        yield chunk
