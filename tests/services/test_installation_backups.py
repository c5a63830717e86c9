"""Saving the installation while it is used, and proving what was saved."""

import itertools
import os
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text, update

from core.errors import DomainError, ErrorCode, ForbiddenError
from core.extensions import site_store
from models.audit import AuditEvent
from models.engine import db
from services import installation_lists, installation_proof, retention, sites
from services.backup_format import Scope
from services.installation_backups import CreatedBackup, create
from services.transaction import transaction
from storage.backup_files import SEAL, SUMMARY, BackupFile, BackupWriter
from tests.factories import OPERATOR, damage, last_event, make_site, promote, release, tree, upload
from tests.installations import FILES, fill, installation, restore, save, served
from tests.installations import migrated as migrated
from tests.installations import source as source
from tests.people import ENVIRONMENT, People

OTHER_KEY = "another key that is long enough, 4f2a91c7"


class Bustle:
    """People who publish, prune, make and delete sites until it ends."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._stop = threading.Event()
        self._works = (self.publish, self.prune, self.come_and_go)
        self._threads = [threading.Thread(target=self._run, args=(it,)) for it in self._works]
        self._done: set[str] = set()
        self.failures: list[Exception] = []

    @property
    def is_everybody_done_once(self) -> bool:
        return len(self._done) == len(self._works) or bool(self.failures)

    def __enter__(self) -> "Bustle":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_caught: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work: Callable[[int], object]) -> None:
        with self._app.app_context():
            for number in itertools.count():
                if self._stop.is_set():
                    return
                try:
                    work(number)
                except Exception as error:  # noqa: BLE001 - the test judges it
                    self.failures.append(error)
                    return
                self._done.add(work.__name__)

    def publish(self, number: int) -> None:
        promote(upload({**FILES, "index.html": b"%d" % number}))

    def prune(self, _number: int) -> None:
        retention.prune(actor=OPERATOR, slug="web", keep=1, older_than_days=0)

    def come_and_go(self, number: int) -> None:
        make_site("brief", main=[f"brief {number}"])
        sites.delete_site(actor=OPERATOR, slug="brief", confirm="brief")


def problems(path: Path | str) -> list[str]:
    """Return the words for what is wrong with a backup."""
    return [problem.code for problem in installation_proof.prove(path=Path(path)).problems]


def text_of(path: str) -> bytes:
    return Path(path).read_bytes()


def test_a_backup_is_one_private_file_with_each_content_once(source: Flask) -> None:
    fill(source)

    made = save()

    path = Path(made.file)
    assert path.parent == source.extensions["relevo.settings"].data_dir / "backups"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert made.summary.contents == len(set(FILES.values())) + 2 + 2
    assert (made.summary.sites, made.summary.releases, made.summary.environments) == (2, 5, 4)
    assert last_event().action == "installation.backed_up"
    assert problems(path) == []


def test_keys_are_not_inside(source: Flask) -> None:
    fill(source)

    content = text_of(save().file)

    for name in ("SECRET_KEY", "JWT_KEYS", "FIELD_KEYS"):
        assert ENVIRONMENT[name].encode() not in content


def test_a_file_that_exists_is_kept(source: Flask, tmp_path: Path) -> None:
    path = tmp_path / "mine.tar"
    path.write_text("mine")

    with pytest.raises(DomainError) as refusal:
        save(path)

    assert refusal.value.code is ErrorCode.ALREADY_EXISTS
    assert path.read_text() == "mine"


def test_a_folder_that_does_not_exist_is_named(source: Flask, tmp_path: Path) -> None:
    with pytest.raises(DomainError) as refusal:
        save(tmp_path / "nowhere" / "a.tar")

    assert refusal.value.code is ErrorCode.VALIDATION_FAILED
    assert "nowhere" in refusal.value.errors[0].message


def test_only_who_may_do_everything_may_save(source: Flask) -> None:
    people = People(source)
    people.user("root", "admin")

    with pytest.raises(ForbiddenError):
        create(actor=people.actor("max", "maintainer"))


def test_tables_of_an_unknown_version_are_refused(source: Flask, tmp_path: Path) -> None:
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'fffffffffff0'"))

    with pytest.raises(DomainError, match="newer version") as refusal:
        save(tmp_path / "a.tar")

    assert refusal.value.code is ErrorCode.UNAVAILABLE
    assert not list(tmp_path.glob("a.tar*"))


def test_a_damaged_file_is_left_out_and_named(source: Flask, tmp_path: Path) -> None:
    fill(source)
    damage(3)

    made = save(tmp_path / "a.tar")

    assert [(it.site, it.release, it.path) for it in made.summary.damaged] == [
        ("web", 3, "index.html")
    ]
    assert problems(made.file) == []
    with installation(tmp_path / "restored"):
        report = restore(made.file)
        assert report.damaged == made.summary.damaged
        assert not (tree(3) / "index.html").exists()
        assert (tree(3) / "about.html").read_bytes() == FILES["about.html"]


def test_a_damaged_blob_is_taken_from_a_sound_tree(source: Flask, tmp_path: Path) -> None:
    fill(source)
    file = tree(3) / "index.html"
    kept = file.read_bytes()
    (tree(3)).chmod(0o755)
    file.unlink()
    file.write_bytes(kept)
    entry = site_store().manifest("web", release(3).digest).by_path["index.html"]
    blob = site_store().layout.blobs / entry.sha256[:2] / entry.sha256
    blob.chmod(0o644)
    blob.write_bytes(b"damaged bytes!")

    made = save(tmp_path / "a.tar")

    assert made.summary.damaged == ()


def test_a_manifest_that_is_gone_costs_its_release_only(source: Flask, tmp_path: Path) -> None:
    fill(source)
    site_store().layout.manifest("web", release(3).digest).unlink()

    made = save(tmp_path / "a.tar")

    assert [(it.site, it.release) for it in made.summary.damaged] == [("web", 3)]
    assert problems(made.file) == []
    with installation(tmp_path / "restored") as app:
        restore(made.file)
        assert served(app)["web.localhost", "/"].status == 200


def test_uploads_promotions_prunings_and_deletions_go_on_meanwhile(
    source: Flask, tmp_path: Path
) -> None:
    fill(source)
    made: list[CreatedBackup] = []

    with Bustle(source) as bustle:
        while len(made) < 4 or not bustle.is_everybody_done_once:
            made.append(save(tmp_path / f"{len(made)}.tar"))

    assert bustle.failures == []
    assert [backup.summary.damaged for backup in made] == [()] * len(made)
    assert [problems(backup.file) for backup in made] == [[]] * len(made)
    with installation(tmp_path / "restored") as app:
        restore(made[-1].file)
        assert served(app)["web.localhost", "/about"].status == 200


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda content: content[: len(content) // 2], "truncated"),
        (lambda content: content[:-1], "truncated"),
        (lambda _content: b"", "truncated"),
        (lambda _content: b"no backup at all" * 512, "truncated"),
        (lambda content: content[:-700], "truncated"),
        (lambda content: b"B" + content[1:], "altered"),
        (lambda content: content[:-1] + b"x", "altered"),
        (lambda content: content[:-1400] + b"x" + content[-1399:], "altered"),
        (lambda content: content + b"x", "altered"),
        (lambda content: content[:-1024] + content[:512] + content[-1024:], "altered"),
        (lambda content: content.replace(b"about about", b"about-about", 1), "altered"),
        (lambda content: content.replace(b"root@example", b"evil@example", 1), "altered"),
    ],
)
def test_a_spoilt_file_is_told_apart(
    source: Flask, tmp_path: Path, change: Callable[[bytes], bytes], word: str
) -> None:
    fill(source)
    path = Path(save(tmp_path / "a.tar").file)
    path.write_bytes(change(path.read_bytes()))

    assert problems(path)[0] == word


def test_an_audit_trail_that_was_changed_before_is_noticed(source: Flask, tmp_path: Path) -> None:
    fill(source)
    with transaction() as session:
        session.execute(update(AuditEvent).where(AuditEvent.id == 3).values(action="nothing"))

    made = save(tmp_path / "a.tar")

    assert problems(made.file) == ["audit"]


def test_other_keys_are_noticed(source: Flask, tmp_path: Path) -> None:
    fill(source)
    made = save(tmp_path / "a.tar")

    with installation(tmp_path / "other", SECRET_KEY=OTHER_KEY):
        found = installation_proof.prove(path=Path(made.file)).problems

    assert [problem.code for problem in found] == ["keys"]
    assert found[0].message.startswith("SECRET_KEY ")


def test_a_consistent_file_of_somebody_without_the_keys_is_noticed(
    source: Flask, tmp_path: Path
) -> None:
    fill(source)
    made = save(tmp_path / "ours.tar")
    writer = BackupWriter(tmp_path / "forged.tar")
    with closing(BackupFile(Path(made.file))) as ours:
        for member in ours.members():
            if member.name not in (SUMMARY, SEAL):
                writer.add(member.name, ours.read(member))
        writer.finish(ours.summary(), lambda summary: sha256(summary).hexdigest())

    found = installation_proof.prove(path=tmp_path / "forged.tar").problems

    assert [problem.message for problem in found] == [
        "The backup was changed by somebody without the keys."
    ]


def test_a_newer_format_and_newer_tables_are_refused(source: Flask, tmp_path: Path) -> None:
    made = save(tmp_path / "tables.tar")
    path = Path(made.file)
    content = path.read_bytes()
    path.write_bytes(content.replace(made.revision.encode(), b"fffffffffff0", 1))
    newer = tmp_path / "format.tar"
    newer.write_bytes(content.replace(b'"format": 1', b'"format": 2', 1))

    assert "newer" in problems(path)
    assert problems(newer) == ["format"]


def test_backups_are_listed_with_what_is_wrong_with_them(source: Flask) -> None:
    fill(source)
    old, new = save(), save()
    folder = Path(old.file).parent
    os.truncate(old.file, 5000)
    (folder / "relevo-killed.tar.part").write_bytes(b"part")

    found = {Path(it.file).name: it for it in installation_lists.list_backups()}

    assert found[Path(new.file).name].problem is None
    assert found[Path(new.file).name].scope is Scope.FULL
    assert found[Path(new.file).name].sites == 2
    assert "cut off" in str(found[Path(old.file).name].problem)
    assert found["relevo-killed.tar.part"].problem == "it is not finished"
