"""After a crash: do disk, database, history and answers tell the same story?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from storage import SiteStore
from storage.errors import StorageError
from tests.prove.client import Answer
from tests.prove.installation import Installation
from tests.prove.ledger import Ledger

ENVIRONMENTS = """
SELECT s.slug, e.name, r.digest, e.generation, e.id, e.drift_seen_at
FROM environments e JOIN sites s ON s.id = e.site_id LEFT JOIN releases r ON r.id = e.release_id
"""
NEWEST_MOVE = """
SELECT r.digest, p.generation FROM promotions p JOIN releases r ON r.id = p.release_id
WHERE p.environment_id = ? AND p.state = 'succeeded' AND p.result = 'switched'
ORDER BY p.number DESC LIMIT 1
"""
READY = """
SELECT s.slug, r.digest FROM releases r JOIN sites s ON s.id = r.site_id WHERE r.state = 'ready'
"""
DOMAINS = """
SELECT d.host, s.slug, e.name FROM domains d
JOIN environments e ON e.id = d.environment_id JOIN sites s ON s.id = e.site_id
"""


@dataclass(frozen=True)
class Sent:
    """A request and what became of it; without an answer its outcome is unknown.

    `mark` is a word that the request leaves in the row it makes.
    """

    kind: str
    mark: str
    answer: Answer | None

    @property
    def is_acknowledged(self) -> bool:
        return self.answer is not None and self.answer.status < 300


def disagreements(installation: Installation, sent: Sequence[Sent]) -> list[str]:
    """Return a sentence for everything that is not as it should be."""
    ledger, store = installation.ledger(), SiteStore(installation.sites_root)
    return [
        *_running(ledger),
        *_pointers(ledger, store),
        *_trees(ledger, store),
        *_hosts(ledger, store),
        *_audit(installation, ledger),
        *(problem for request in sent for problem in _outcome(ledger, request)),
    ]


def _running(ledger: Ledger) -> Iterator[str]:
    for row in ledger.rows(
        "SELECT number, state FROM promotions WHERE slot IS NOT NULL OR state = 'running'"
    ):
        yield f"promotion {row[0]} is still {row[1]}"
    if not ledger.is_sound():
        yield "SQLite finds its file damaged"


def _pointers(ledger: Ledger, store: SiteStore) -> Iterator[str]:
    for slug, name, digest, generation, number, drift in ledger.rows(ENVIRONMENTS):
        shown = store.pointer(slug, name)
        if shown != digest or drift is not None:
            yield f"{slug}/{name} shows {shown}, the database says {digest} (drift {drift})"
        moves = ledger.rows(NEWEST_MOVE, number)
        if (moves or [(None, 0)])[0] != (digest, generation):
            yield f"{slug}/{name}: history says {moves}, the row {digest}, {generation}"
        if digest is not None and not store.verify(slug, digest, full=True).clean:
            yield f"{slug}/{name}: the files of {digest} are not whole"


def _trees(ledger: Ledger, store: SiteStore) -> Iterator[str]:
    for slug, digest in ledger.rows(READY):
        try:
            clean = store.verify(slug, digest, full=False).clean
        except StorageError as error:
            yield f"{slug}: release {digest} is ready, but: {error}"
        else:
            if not clean:
                yield f"{slug}: release {digest} is ready, but its files are not whole"


def leftovers(installation: Installation) -> list[str]:
    """Return what lies on disk and no row speaks of; allowed until it is swept."""
    ledger, store = installation.ledger(), SiteStore(installation.sites_root)
    return list(_leftovers(ledger, store))


def _leftovers(ledger: Ledger, store: SiteStore) -> Iterator[str]:
    ready = {tuple(row) for row in ledger.rows(READY)}
    places = {tuple(row[:2]) for row in ledger.rows(ENVIRONMENTS)}
    slugs = {row[0] for row in ledger.rows("SELECT slug FROM sites")}
    for slug in store.layout.slugs():
        if slug not in slugs:
            yield f"{slug}: a folder without a site"
            continue
        for digest in store.releases(slug):
            if (slug, digest) not in ready:
                yield f"{slug}: files of {digest} without a release"
        for path in store.layout.site(slug).iterdir():
            if path.is_symlink() and (slug, path.name) not in places:
                yield f"{slug}: a pointer {path.name} without an environment"


def _hosts(ledger: Ledger, store: SiteStore) -> Iterator[str]:
    wanted = {host: f"{slug}/{name}" for host, slug, name in ledger.rows(DOMAINS)}
    for slug, name, *_ in ledger.rows(ENVIRONMENTS):
        host = slug if name == "main" else f"{name}--{slug}"
        wanted[f"{host}.localhost"] = f"{slug}/{name}"
    for slug, digest in ledger.rows(READY):
        wanted[f"{digest[:16]}--{slug}.localhost"] = f"{slug}/releases/{digest}"
    found = store.hosts()
    for host in sorted(wanted.keys() | found.keys()):
        if wanted.get(host) != found.get(host):
            yield f"{host} shows {found.get(host)} instead of {wanted.get(host)}"


def _audit(installation: Installation, ledger: Ledger) -> Iterator[str]:
    proof = installation.client().get("/audit/verify").expect(200)
    if proof["valid"] is not True:
        yield f"the audit chain is broken at {proof['first_invalid']}"
    unfinished = ledger.number(
        "SELECT count(*) FROM promotions p WHERE p.state IN ('succeeded', 'failed') AND NOT EXISTS"
        " (SELECT 1 FROM audit_events a JOIN sites s ON a.target_id = s.slug || '/' || p.number"
        " WHERE s.id = p.site_id AND a.action LIKE 'promotion.%')"
    )
    if unfinished:
        yield f"{unfinished} promotions have no audit event"


def _outcome(ledger: Ledger, request: Sent) -> Iterator[str]:
    if request.answer is not None and request.answer.status >= 500:
        yield f"{request.kind} {request.mark} was answered {request.answer}"
    if request.kind == "promotion":
        yield from _promotion(ledger, request)
    elif request.kind == "upload":
        count = ledger.number("SELECT count(*) FROM submissions WHERE message = ?", request.mark)
        yield from _counted(request, count)
    elif request.is_acknowledged:
        count = ledger.number("SELECT count(*) FROM audit_events WHERE target_id = ?", request.mark)
        if count == 0:
            yield f"{request.kind} of {request.mark} was acknowledged and is lost"


def _promotion(ledger: Ledger, request: Sent) -> Iterator[str]:
    rows = ledger.rows("SELECT number, state FROM promotions WHERE comment = ?", request.mark)
    yield from _counted(request, len(rows))
    answer = request.answer
    if answer is None:
        if any(state not in ("succeeded", "failed") for _, state in rows):
            yield f"promotion {request.mark} ended as {rows}"
    elif request.is_acknowledged and rows != [(answer.document["number"], "succeeded")]:
        yield f"promotion {request.mark} was acknowledged and is {rows}"
    elif not request.is_acknowledged and answer.status < 500 and rows:
        yield f"promotion {request.mark} was refused with {answer.status} and is {rows}"


def _counted(request: Sent, count: int) -> Iterator[str]:
    if request.is_acknowledged and count != 1:
        yield f"{request.kind} {request.mark} was acknowledged and is there {count} times"
    elif count > 1:
        yield f"{request.kind} {request.mark} is there {count} times"
