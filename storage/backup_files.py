"""The file of an installation backup: an uncompressed tar, written once and read strictly.

Each header follows from name and size, padding is zero, and the last two members tell what the
others were. So every bit of the file is accounted for, and any `tar` can show what is inside.
"""

import fcntl
import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage import files
from storage.errors import StorageError

BLOCK = 512
END = bytes(2 * BLOCK)
SUMMARY, SEAL = "summary.json", "seal.json"
PART_SUFFIX = ".part"
MAX_SUMMARY_BYTES = 64 * 1024 * 1024
_MODE = 0o600
_PART = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class BackupFileError(StorageError):
    """The file is not a whole, unchanged backup; the message says where."""


class BackupBusyError(StorageError):
    """Another process writes the same file just now."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside; `offset` is where its content begins."""

    name: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Seal:
    """The last member: where the summary lies, what it hashes to, and the mark of the keys."""

    summary_offset: int
    summary_sha256: str
    mark: str


class Inventory:
    """A running hash over hash, size and name of each member."""

    def __init__(self) -> None:
        self.members = 0
        self._digest = hashlib.sha256()

    def add(self, name: str, size_bytes: int, sha256: str) -> None:
        self.members += 1
        self._digest.update(f"{sha256} {size_bytes} {name}\n".encode())

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class BackupWriter:
    """Writes `<path>.part`, which gets its name when everything in it is durable.

    Raises:
        FileExistsError: there is a file of that name.
        BackupBusyError: somebody else is writing it.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise FileExistsError(f"{path} exists")
        self._path = path
        self._part = path.with_name(path.name + PART_SUFFIX)
        self._descriptor = _opened_part(self._part)
        self._position = 0
        self.inventory = Inventory()

    @property
    def folder(self) -> Path:
        return self._path.parent

    def add(self, name: str, content: bytes) -> str:
        """Write a member and return its SHA-256."""
        return self.add_chunks(name, len(content), (content,))

    def add_chunks(self, name: str, size_bytes: int, chunks: Iterable[bytes]) -> str:
        """Write a member that arrives in pieces.

        Raises:
            BackupFileError: the pieces are not as long together as was said.
        """
        self._write(header(name, size_bytes))
        digest, written = hashlib.sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            written += len(chunk)
            self._write(chunk)
        if written != size_bytes:
            raise BackupFileError(f"{name} changed while it was read.")
        self._write(bytes(-size_bytes % BLOCK))
        self.inventory.add(name, size_bytes, digest.hexdigest())
        return digest.hexdigest()

    def finish(self, summary: bytes, sign: Callable[[bytes], str]) -> None:
        """Close the file with its summary, sealed, and give it its name.

        Args:
            summary: what the file holds; it should name the inventory.
            sign: makes the mark of the keys for the summary.
        """
        offset = self._position
        sha256 = self.add(SUMMARY, summary)
        seal = Seal(offset, sha256, sign(summary))
        text = json.dumps({name: getattr(seal, name) for name in Seal.__slots__})
        self.add(SEAL, text.ljust(BLOCK).encode())
        self._write(END)
        files.sync_file(self._descriptor)
        files.rename(self._part, self._path)
        files.sync_folder(self._path.parent)
        os.close(self._descriptor)

    def give_up(self) -> None:
        """Remove what was written."""
        with suppress(FileNotFoundError):
            self._part.unlink()
        os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        files.write_all(self._descriptor, data) if data else None
        self._position += len(data)


class BackupFile:
    """Reads one file; nothing in it is believed before `members` was walked to its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size_bytes = os.fstat(self._descriptor).st_size

    def close(self) -> None:
        os.close(self._descriptor)

    def first(self) -> Member:
        """Return the first member.

        Raises:
            BackupFileError: the file does not begin like a backup.
        """
        try:
            return self._member(0)
        except BackupFileError as error:
            if self._has_seal():
                raise
            raise BackupFileError("The file is empty, or is no backup.") from error

    def seal(self) -> Seal:
        """Return the last member.

        Raises:
            BackupFileError: the file does not end like a backup.
        """
        member = self._member(self.size_bytes - len(END) - 2 * BLOCK)
        if member.name != SEAL or self._pread(self.size_bytes - len(END), len(END)) != END:
            raise BackupFileError("The file does not end as a backup does.")
        try:
            return Seal(**json.loads(self.read(member)))
        except (ValueError, TypeError) as error:
            raise BackupFileError("The seal at the end of the file is damaged.") from error

    def summary(self) -> bytes:
        """Return the summary, checked against the seal.

        Raises:
            BackupFileError: it is not what was sealed.
        """
        seal = self.seal()
        member = self._member(seal.summary_offset)
        if member.name != SUMMARY or member.size_bytes > MAX_SUMMARY_BYTES:
            raise BackupFileError("The seal does not lead to a summary.")
        content = self.read(member)
        if hashlib.sha256(content).hexdigest() != seal.summary_sha256:
            raise BackupFileError("The summary is not the one that was sealed.")
        return content

    def is_cut_off(self) -> bool:
        """Tell whether the file ends before its end, or was never a backup.

        What is neither has been changed. Looks at headers only, one after the other.
        """
        position, name = 0, ""
        while name != SEAL:
            try:
                member = self._member(position)
            except BackupFileError:
                if position == 0:
                    return not self._has_seal()
                return self.size_bytes < position + BLOCK
            name = member.name
            position = member.offset + member.size_bytes + -member.size_bytes % BLOCK
        return self.size_bytes < position + len(END)

    def _has_seal(self) -> bool:
        try:
            self.seal()
        except BackupFileError:
            return False
        return True

    def members(self) -> Iterator[Member]:
        """Walk over every member from the beginning to the seal, checking all that is between.

        Raises:
            BackupFileError: a header or a padding is not as it was written, or the end is not
                where it should be.
        """
        position, name = 0, ""
        while name != SEAL:
            member = self._member(position)
            yield member
            name = member.name
            position = self._end(member)
        if self._pread(position, len(END) + 1) != END:
            raise BackupFileError(f"The end of the file, at byte {position}, is not as written.")

    def chunks(self, member: Member) -> Iterator[bytes]:
        """Yield the content of a member.

        Raises:
            BackupFileError: the file ends within it.
        """
        position, end = member.offset, member.offset + member.size_bytes
        while position < end:
            chunk = self._pread(position, min(files.CHUNK_BYTES, end - position))
            if not chunk:
                raise BackupFileError(f"The file is cut off at byte {self.size_bytes}.")
            yield chunk
            position += len(chunk)

    def read(self, member: Member) -> bytes:
        """Return the whole content of a small member."""
        return b"".join(self.chunks(member))

    def _member(self, position: int) -> Member:
        block = self._pread(position, BLOCK) if position >= 0 else b""
        if len(block) < BLOCK:
            raise BackupFileError(f"The file is cut off at byte {self.size_bytes}.")
        try:
            found = tarfile.TarInfo.frombuf(block, "ascii", "strict")
            as_written = header(found.name, found.size)
        except (tarfile.HeaderError, ValueError) as error:
            raise _altered(position) from error
        if as_written != block:
            raise _altered(position)
        return Member(found.name, position + BLOCK, found.size)

    def _end(self, member: Member) -> int:
        """Return where the next member begins; what lies between must be zero."""
        end = member.offset + member.size_bytes
        padding = -member.size_bytes % BLOCK
        if self._pread(end, padding) != bytes(padding):
            raise _altered(end)
        return end + padding

    def _pread(self, position: int, count: int) -> bytes:
        return os.pread(self._descriptor, count, position) if count else b""


def header(name: str, size_bytes: int) -> bytes:
    """Return the one block that stands before a member."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size_bytes, _MODE
    block = info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")
    if len(block) != BLOCK:
        raise ValueError(f"too long a name: {name}")
    return block


def remove_unfinished(folder: Path, prefix: str) -> int:
    """Remove the parts of this prefix that killed processes left behind; returns how many."""
    removed = 0
    for part in folder.glob(f"{prefix}*{PART_SUFFIX}"):
        with suppress(OSError):
            descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()
                removed += 1
            finally:
                os.close(descriptor)
    return removed


def _opened_part(part: Path) -> int:
    """Open and lock an empty file; what a killed process left under the name is overwritten."""
    descriptor = os.open(part, _PART, _MODE)
    if not _is_ours(descriptor, part):
        os.close(descriptor)
        raise BackupBusyError(f"{part} is being written by another process.")
    os.fchmod(descriptor, _MODE)
    os.ftruncate(descriptor, 0)
    return descriptor


def _is_ours(descriptor: int, part: Path) -> bool:
    """Lock the file, and tell whether it still has its name: its writer may just have ended."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_ino == part.lstat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _altered(position: int) -> BackupFileError:
    return BackupFileError(f"The file was changed near byte {position}.")
