"""What storage writes is what visitors get: upload, switch, rollback, deletion."""

import io
import tarfile
import time
from pathlib import Path

import pytest

from core.clock import isoformat, utc_now
from storage.inventory import ArchiveLimits
from storage.journals import first_journal
from storage.store import SiteStore
from tests.serving.conftest import FILES, LONG_PAGE, Visitor
from tests.serving.readers import reading
from tests.serving.test_switching import PATHS, numbered
from tests.serving.trees import Files

LIMITS = ArchiveLimits(
    max_upload_bytes=1 << 24,
    max_release_bytes=1 << 24,
    max_files=1000,
    max_file_bytes=1 << 24,
    max_path_depth=16,
)
PUBLIC = {path: data for path, data in FILES.items() if not path.startswith((".env", ".git"))}


@pytest.fixture
def store(root: Path) -> SiteStore:
    made = SiteStore(root)
    made.prepare()
    made.point_host("web.localhost", "web", "main")
    return made


def upload(store: SiteStore, files: Files) -> str:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    packed.seek(0)
    return store.receive("web", packed, limits=LIMITS).manifest.digest


def switch(store: SiteStore, digest: str) -> None:
    before = store.journal("web", "main")
    words = {"promotion": None, "to_digest": digest, "release": None, "at": isoformat(utc_now())}
    following = (
        before.following(**words)  # type: ignore[arg-type]
        if before
        else first_journal(generation=1, from_digest=None, **words)  # type: ignore[arg-type]
    )
    store.switch("web", "main", following)


def test_an_uploaded_site_is_served_after_its_switch(visitor: Visitor, store: SiteStore) -> None:
    digest = upload(store, PUBLIC)
    assert visitor.get("/").status_code == 404

    switch(store, digest)

    for path, data in PUBLIC.items():
        answer = visitor.get(f"/{path}")
        is_hidden = path in ("docs/.draft.html", ".well-known/.hidden")
        assert answer.status_code == (404 if is_hidden else 200), path
        assert is_hidden or answer.data == data


def test_variants_made_in_the_background_are_found(visitor: Visitor, store: SiteStore) -> None:
    digest = upload(store, PUBLIC)
    switch(store, digest)
    assert "Content-Encoding" not in visitor.get("/about", accept_encoding="br, gzip").headers

    store.compress("web", digest, lambda: False)

    for coding in ("br", "gzip"):
        answer = visitor.get("/about", accept_encoding=coding)
        assert answer.headers["Content-Encoding"] == coding
        assert len(answer.data) < len(LONG_PAGE) / 4


def test_a_rollback_without_a_database_is_followed(visitor: Visitor, store: SiteStore) -> None:
    first, second = upload(store, numbered(1)), upload(store, numbered(2))
    switch(store, first)
    switch(store, second)

    store.rollback_offline(
        "web", "main", to_digest=None, by="root", reason=None, at=isoformat(utc_now())
    )

    assert visitor.get("/").headers["X-Release"] == first[:16]


def test_a_release_has_a_host_until_it_is_deleted(visitor: Visitor, store: SiteStore) -> None:
    kept, old = upload(store, numbered(1)), upload(store, numbered(2))
    switch(store, kept)
    host = f"{old[:16]}--web.localhost"
    store.point_host_at_release(host, "web", old)
    assert visitor.get("/", host=host).headers["X-Robots-Tag"] == "noindex"

    store.delete_release("web", old)

    assert visitor.get("/", host=host).status_code == 404


def test_visitors_notice_nothing_of_real_switches(store: SiteStore, gunicorn_port: int) -> None:
    contents = [numbered(number) for number in range(3)]
    digests = [upload(store, files) for files in contents]
    releases = {digest[:16]: files for digest, files in zip(digests, contents, strict=True)}
    switch(store, digests[0])

    with reading(gunicorn_port, releases, PATHS) as observed:
        for number in range(100):
            switch(store, digests[number % 3])
            time.sleep(0.002)

    assert observed.bad == 0, observed
    assert observed.seen == set(releases)
