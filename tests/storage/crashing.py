"""Run one scenario in a process of its own, which dies at a failpoint."""

import io
import subprocess
import sys
from pathlib import Path

from storage import SiteStore, Strip, failpoints
from storage.inventory import InlineLimits
from tests.archives.zip_maker import simple_zip
from tests.storage.stores import LIMITS, SITE, receive, release_of, show

NEW_SITE = {**SITE, "index.html": b"<h1>new</h1>"}
KILLED = -9


def run(store: SiteStore, scenario: str, failpoint: str) -> int:
    """Run a scenario on the store in another process; return its exit code."""
    command = [sys.executable, "-m", __name__, str(store.layout.root), scenario, failpoint]
    root = Path(__file__).parents[2]
    return subprocess.run(command, cwd=root, check=False, capture_output=True).returncode


def upload(store: SiteStore) -> None:
    receive(store, simple_zip(NEW_SITE))


def keep(store: SiteStore) -> None:
    store.receive_or_keep(
        "web",
        io.BytesIO(simple_zip(NEW_SITE)),
        limits=LIMITS,
        inline=InlineLimits(max_files=0, max_bytes=0),
        strip=Strip.AUTO,
        allow_secret_files=False,
        when_spooled=lambda: None,
    )


def switch(store: SiteStore) -> None:
    show(store, release_of(store, NEW_SITE))


def roll_back(store: SiteStore) -> None:
    store.rollback_offline("web", "main", to_digest=None, by="root", reason=None, at="now")


def write_journal(store: SiteStore) -> None:
    journal = store.journal("web", "main")
    assert journal is not None
    store.write_journal("web", "main", journal)


def host(store: SiteStore) -> None:
    store.point_host("www.example.org", "web", "test")


def remove_host(store: SiteStore) -> None:
    store.remove_host("www.example.org")


def remove_environment(store: SiteStore) -> None:
    store.remove_environment("web", "main")


def delete(store: SiteStore) -> None:
    store.delete_release("web", release_of(store, NEW_SITE))


def remove_site(store: SiteStore) -> None:
    store.remove_site("web")


def sweep(store: SiteStore) -> None:
    store.sweep_blobs(older_than_seconds=0)


def sweep_staging(store: SiteStore) -> None:
    store.sweep_staging(older_than_seconds=0)


def compress(store: SiteStore) -> None:
    digest = store.pointer("web", "main")
    assert digest is not None
    store.compress("web", digest, lambda: False)


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        upload,
        keep,
        switch,
        roll_back,
        write_journal,
        host,
        remove_host,
        remove_environment,
        delete,
        remove_site,
        sweep,
        sweep_staging,
        compress,
    )
}


def main() -> None:
    root, scenario, failpoint = sys.argv[1:]
    failpoints.arm(failpoint or None)
    SCENARIOS[scenario](SiteStore(Path(root)))


if __name__ == "__main__":
    main()
