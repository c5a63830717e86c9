"""The file of a backup: written as a whole, and no bit of it can change unnoticed."""

import os
import random
import stat
import tarfile
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from storage.backup_files import (
    SEAL,
    SUMMARY,
    BackupBusyError,
    BackupFile,
    BackupFileError,
    BackupWriter,
    Inventory,
    remove_unfinished,
)

CONTENTS = {"backup.json": b"{}", "rows/a": b"x" * 700, "empty": b"", "contents/b": b"y" * 512}


def written(path: Path) -> Path:
    writer = BackupWriter(path)
    for name, content in CONTENTS.items():
        writer.add(name, content)
    writer.finish(writer.inventory.sha256.encode(), lambda summary: summary.decode()[::-1])
    return path


def is_as_written(path: Path) -> bool:
    """Read a file the way a proof does."""
    inventory = Inventory()
    with closing(BackupFile(path)) as file, suppress(BackupFileError):
        summary = file.summary()
        if file.seal().mark != summary.decode("latin-1")[::-1]:
            return False
        for member in file.members():
            if member.name not in (SUMMARY, SEAL):
                content = file.read(member)
                inventory.add(member.name, member.size_bytes, sha256(content).hexdigest())
        return inventory.sha256 == summary.decode("latin-1")
    return False


def test_what_was_written_is_read_and_any_tar_shows_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar")

    with closing(BackupFile(path)) as file:
        found = {member.name: file.read(member) for member in file.members()}
    with tarfile.open(path) as archive:
        names = archive.getnames()

    assert list(found) == names == [*CONTENTS, SUMMARY, SEAL]
    assert {name: found[name] for name in CONTENTS} == CONTENTS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert is_as_written(path)


@pytest.mark.parametrize("first", range(3))
def test_no_byte_can_change_unnoticed(tmp_path: Path, first: int) -> None:
    path = written(tmp_path / "a.tar")
    content = path.read_bytes()
    chance = random.Random(first)

    for place in range(first, len(content), 3 * 5):
        changed = content[place] ^ 1 << chance.randrange(8)
        with path.open("r+b") as file:
            os.pwrite(file.fileno(), bytes([changed]), place)

            noticed = not is_as_written(path)

            os.pwrite(file.fileno(), content[place : place + 1], place)
        assert noticed, place


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar")
    size = path.stat().st_size

    for length in range(size - 1, -1, -97):
        os.truncate(path, length)

        assert not is_as_written(path), length


def test_something_behind_the_end_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar")
    with path.open("ab") as file:
        file.write(b"\0" * 512)

    assert not is_as_written(path)


def test_nothing_has_the_name_before_everything_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    writer = BackupWriter(path)
    writer.add("backup.json", b"{}")

    assert not path.exists()

    writer.give_up()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar")

    with pytest.raises(FileExistsError):
        BackupWriter(path)

    assert is_as_written(path)


def test_two_writers_of_one_file_are_one_too_many(tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "a.tar")

    with pytest.raises(BackupBusyError):
        BackupWriter(tmp_path / "a.tar")

    writer.give_up()


def test_what_a_killed_writer_left_is_overwritten_or_removed(tmp_path: Path) -> None:
    (tmp_path / "relevo-1.tar.part").write_bytes(b"left over " * 1000)
    (tmp_path / "relevo-2.tar.part").write_bytes(b"left over")
    (tmp_path / "other.tar.part").write_bytes(b"of somebody else")

    path = written(tmp_path / "relevo-1.tar")
    busy = BackupWriter(tmp_path / "relevo-3.tar")
    removed = remove_unfinished(tmp_path, "relevo-")

    assert is_as_written(path)
    assert removed == 1
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {"relevo-1.tar", "relevo-3.tar.part", "other.tar.part"}
    busy.give_up()


def test_a_content_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    writer = BackupWriter(tmp_path / "a.tar")

    with pytest.raises(BackupFileError, match="changed while it was read"):
        writer.add_chunks("contents/b", 10, [b"short"])

    writer.give_up()
