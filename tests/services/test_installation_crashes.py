"""Killed at every step of saving and restoring: repeated, it ends as if nothing had been."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from core import restore_marker
from core.errors import DomainError, ErrorCode
from services import (
    installation_backups,
    installation_lists,
    installation_restores,
    restored_rows,
)
from storage import failpoints
from tests.installations import fill, installation, restore, save, served
from tests.installations import migrated as migrated
from tests.installations import source as source

SAVING = (installation_backups.AFTER_ROWS, installation_backups.AFTER_FILES)
RESTORING = (
    installation_restores.AFTER_MARK,
    installation_restores.AFTER_CONTENTS,
    installation_restores.AFTER_FILES,
    restored_rows.AFTER_TABLES,
    installation_restores.AFTER_ROWS,
    installation_restores.AFTER_PLACES,
)
TOLD_MORE = {"audit_events", "audit_heads", "outbox_events"}


def killed_at(point: str, data_dir: Path, work: Callable[[], object]) -> bool:
    """Do the work in a process that dies at a failpoint; return whether it was reached."""
    child = os.fork()
    if child == 0:
        try:
            with installation(data_dir):
                failpoints.arm(point)
                work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_killed_while_it_saves(source: Flask) -> None:
    fill(source)
    data_dir = source.extensions["relevo.settings"].data_dir
    folder = data_dir / "backups"

    for point in SAVING:
        assert killed_at(point, data_dir, save)
        assert list(folder.glob("*.tar")) == []
        assert [it.problem for it in installation_lists.list_backups()] == ["it is not finished"]
    made = save()

    assert [str(path) for path in folder.iterdir()] == [made.file]


def test_killed_while_it_restores(source: Flask, tmp_path: Path) -> None:
    fill(source)
    expected, made, target = served(source), save(tmp_path / "a.tar"), tmp_path / "target"

    for point in RESTORING:
        assert killed_at(point, target, lambda: restore(made.file)), point
        assert restore_marker.is_set(target)
        with pytest.raises(DomainError) as refusal:
            restore_marker.refuse(target)
        assert refusal.value.code is ErrorCode.INSTALLATION_UNFINISHED

    with installation(target) as app:
        restore(made.file)
        assert not restore_marker.is_set(target)
        assert served(app) == expected
        after, before = save(tmp_path / "b.tar").summary.tables, made.summary.tables
        assert {name for name in before if after[name] != before[name]} == TOLD_MORE


def test_another_backup_may_follow_one_that_was_interrupted(source: Flask, tmp_path: Path) -> None:
    empty = save(tmp_path / "empty.tar")
    fill(source)
    full, target = save(tmp_path / "full.tar"), tmp_path / "target"
    assert killed_at(installation_restores.AFTER_PLACES, target, lambda: restore(full.file))

    with installation(target) as app:
        restore(empty.file)

        assert served(app)["web.localhost", "/"].status == 404
