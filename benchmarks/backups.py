"""Saving, proving and restoring a whole installation, against copying the same files."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import create_app
from benchmarks.measure import Line, seconds
from cli.migrating import alembic_commands
from config import load_settings
from models.engine import db
from services import installation_backups, installation_proof, installation_restores, publishing
from services import sites as site_services
from services.actors import cli_actor
from services.seed_roles import ensure_roles
from storage import files
from tests.people import ENVIRONMENT
from tests.prove.content import noise, zipped

PART = "backups"
RELEASES, FILES, FILE_BYTES = 10, 1_000, 100_000
GOAL_SECONDS = 60


def run(quick: bool) -> list[Line]:
    """Measure once: a gigabyte is long enough to be its own average."""
    count = FILES // 20 if quick else FILES
    with tempfile.TemporaryDirectory(prefix="relevo-bench-") as folder:
        work = Path(folder)
        file = work / "saved.tar"
        with _installation(work / "source"):
            _fill(count)
            saved = seconds(lambda: installation_backups.create(actor=cli_actor(), target=file))
        with _installation(work / "restored"):
            proven = seconds(lambda: installation_proof.prove(path=file))
            restored = seconds(
                lambda: installation_restores.restore(
                    actor=cli_actor(),
                    path=file,
                    migrate=lambda revision: alembic_commands().upgrade(revision=revision),
                )
            )
        copied = seconds(lambda: _copy(work / "source", work / "copy"))
        size_bytes = file.stat().st_size
    return _lines(RELEASES * count, size_bytes, saved, proven, restored, copied)


def _lines(
    count: int, size_bytes: int, saved: float, proven: float, restored: float, copied: float
) -> list[Line]:
    what = f"{size_bytes / 1e9:.2f} GB, {count:,} files"
    beside = f"{what}; a durable copy of the folder took {copied:.1f} s"
    return [
        Line(PART, "saving an installation", saved, "", " s", beside),
        Line(PART, "proving the file", proven, "", " s", what),
        Line(PART, "proving and restoring", restored, f"<= {GOAL_SECONDS}", " s", what),
    ]


@contextmanager
def _installation(data_dir: Path) -> Iterator[None]:
    data_dir.mkdir(mode=0o700)
    app = create_app(load_settings({**ENVIRONMENT, "DATA_DIR": str(data_dir)}))
    with app.app_context():
        yield
        db.session.remove()
        db.engine.dispose()


def _fill(count: int) -> None:
    alembic_commands().upgrade()
    ensure_roles()
    site_services.create_site(actor=cli_actor(), slug="web", name="Web")
    for number in range(RELEASES):
        archive = zipped(_files(number, count))
        publishing.upload(actor=cli_actor(), slug="web", stream=io.BytesIO(archive), to=None)


def _files(number: int, count: int) -> dict[str, bytes]:
    """Return files that no other release has."""
    pages = (f"pages/{page:05}.html" for page in range(count))
    return {name: noise(f"{number} {name}", FILE_BYTES) for name in pages}


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source / "sites" / "web", target, symlinks=True)
    with files.opened_folder(target) as descriptor:
        files.sync_filesystem(descriptor)
