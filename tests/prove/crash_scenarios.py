"""What to do so that a process comes by a named point, and what to do about it afterwards."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from storage import SiteStore
from tests.prove.agreement import Sent
from tests.prove.client import Answer, Client
from tests.prove.content import PAGE, site_files, zipped
from tests.prove.installation import COMMAND_SECONDS, REPOSITORY, Installation

SWEEP = """
import sys
from app import create_app
from core.extensions import site_store
with create_app().app_context():
    getattr(site_store(), sys.argv[1])(older_than_seconds=0)
"""

UPLOAD_LARGE = """
import io, sys
from app import create_app
from services import uploads
from services.actors import cli_actor
from services.releases import ReceiveOptions
from tests.archives.zip_maker import simple_zip
with create_app().app_context():
    stream = io.BytesIO(simple_zip({"index.html": b"large"}))
    uploads.upload(
        actor=cli_actor(), slug=sys.argv[1], stream=stream, to="none", options=ReceiveOptions()
    )
"""


@dataclass
class Stage:
    """One installation with a site, and what was asked of it since it was last in order."""

    installation: Installation
    sent: list[Sent] = field(default_factory=list)
    count: int = 0
    spare: int = 0
    """The number of a release that is served nowhere."""

    @property
    def client(self) -> Client:
        return self.installation.client()

    @property
    def store(self) -> SiteStore:
        return SiteStore(self.installation.sites_root)

    def mark(self) -> str:
        self.count += 1
        return f"mark {self.count}"

    def ask(self, kind: str, mark: str, call: Callable[[], Answer]) -> None:
        """Make the call that may be cut off."""
        answer = None
        with contextlib.suppress(ConnectionError):
            answer = call()
        self.sent.append(Sent(kind, mark, answer))

    def upload(self, files: dict[str, bytes], *, slug: str = "web", to: str = "none") -> Answer:
        """Upload something while nothing is armed."""
        return self.client.upload(slug, zipped(files), to=to)

    def make_spare(self) -> None:
        """Upload a release that is served nowhere."""
        self.spare = self.upload(site_files(self.mark(), 4)).number("number")

    def run_alone(self, code: str, *words: str, failpoint: str = "", **environment: str) -> None:
        """Run something on the installation in a process of its own."""
        with self.installation.log.open("ab") as log:
            subprocess.run(
                [sys.executable, "-c", code, *words],
                cwd=REPOSITORY,
                env={**self.installation.environment, "FAILPOINT": failpoint, **environment},
                stderr=log,
                timeout=COMMAND_SECONDS,
                check=False,
            )


Step = Callable[[Stage, str], None]
"""Gets the name of the point too."""


def _nothing(stage: Stage, point: str) -> None:
    return


@dataclass(frozen=True)
class Scenario:
    """Preparations while nothing is armed, the work that dies, and what follows the restart.

    `mend` repeats the work before the comparison, `afterwards` shows that work goes on.
    """

    work: Step
    prepare: Step = _nothing
    mend: Step = _nothing
    afterwards: Step = _nothing


def _promote(stage: Stage, point: str) -> None:
    mark = stage.mark()
    body = {"to": "main", "release": 1, "allow_older": True, "comment": mark}
    stage.ask("promotion", mark, lambda: stage.client.post("/sites/web/promotions", body))


def _second_in_main(stage: Stage, point: str) -> None:
    body = {"to": "main", "release": 2, "allow_older": True}
    stage.client.post("/sites/web/promotions", body).expect(201)


def _roll_back(stage: Stage, point: str) -> None:
    mark = stage.mark()
    body = {"environment": "main", "release": 1, "reason": mark}
    stage.ask("promotion", mark, lambda: stage.client.post("/sites/web/rollback", body))


def _upload(stage: Stage, point: str) -> None:
    mark = stage.mark()
    files = site_files(mark, 4)
    stage.ask("upload", mark, lambda: stage.client.upload("web", zipped(files), message=mark))


def _upload_compressible(stage: Stage, point: str) -> None:
    """The worker makes variants by itself soon after."""
    files = {"index.html": f"<p>{stage.mark()}</p>".encode() * 500}
    stage.ask("release", "web/1", lambda: stage.client.upload("web", zipped(files), to="none"))


HEALED = site_files("damaged", 4)


def _damage_blob(stage: Stage, point: str) -> None:
    digest = str(stage.upload(HEALED).document["digest"])
    page = stage.store.layout.release("web", digest) / PAGE
    page.chmod(0o644)
    page.write_bytes(b"damaged")


def _lose_file(stage: Stage, point: str) -> None:
    digest = str(stage.upload(HEALED).document["digest"])
    page = stage.store.layout.release("web", digest) / PAGE
    page.parent.chmod(0o755)
    page.unlink()


def _upload_healing(stage: Stage, point: str) -> None:
    stage.ask("release", "web/1", lambda: stage.client.upload("web", zipped(HEALED), to="none"))


def _heal(stage: Stage, point: str) -> None:
    stage.upload(HEALED).expect(200, 201)


def _set_domains(domains: list[str]) -> Step:
    def work(stage: Stage, point: str) -> None:
        target, body = "/sites/web/environments/main", {"domains": domains}
        stage.ask("domains", "web/main", lambda: stage.client.patch(target, body))

    return work


def _make_stage(stage: Stage, point: str) -> None:
    body = {"name": "stage", "rank": 15}
    stage.client.post("/sites/web/environments", body).expect(201, 409)
    order = {"to": "stage", "release": 1, "allow_older": True}
    stage.client.post("/sites/web/promotions", order).expect(201)


def _delete_stage(stage: Stage, point: str) -> None:
    target = "/sites/web/environments/stage"
    stage.ask("environment", "web/stage", lambda: stage.client.delete(target))


def _make_site(stage: Stage, point: str) -> None:
    stage.client.post("/sites", {"slug": "gone", "name": "Gone"}).expect(201, 409)
    stage.upload(site_files("gone", 4), slug="gone", to="test").expect(200, 201)


def _delete_site(stage: Stage, point: str) -> None:
    call = stage.client.delete
    stage.ask("site", "gone", lambda: call("/sites/gone", confirm="gone"))


def _make_spare(stage: Stage, point: str) -> None:
    stage.make_spare()


def _delete_spare(stage: Stage, point: str) -> None:
    target = f"/sites/web/releases/{stage.spare}"
    stage.ask("deletion", f"web/{stage.spare}", lambda: stage.client.delete(target))


def _spare_deleted(stage: Stage, point: str) -> None:
    stage.make_spare()
    stage.client.delete(f"/sites/web/releases/{stage.spare}").expect(204)


def _junk_in_staging(stage: Stage, point: str) -> None:
    (stage.store.layout.staging / "upload-junk").mkdir(exist_ok=True)


def _sweep_blobs(stage: Stage, point: str) -> None:
    stage.run_alone(SWEEP, "sweep_blobs", failpoint=point)


def _sweep_staging(stage: Stage, point: str) -> None:
    stage.run_alone(SWEEP, "sweep_staging", failpoint=point)


def _upload_large(stage: Stage, point: str) -> None:
    stage.run_alone(UPLOAD_LARGE, "web", failpoint=point, INLINE_RELEASE_FILES="0")


PROMOTION = Scenario(_promote, _second_in_main)
ROLLBACK = Scenario(_roll_back, _second_in_main)
POINT_HOST = Scenario(_set_domains(["www.example.org"]), _set_domains([]))
HEALING = Scenario(_upload_healing, _damage_blob, _heal)

SCENARIOS: tuple[tuple[str, Scenario], ...] = (
    ("upload.", Scenario(_upload)),
    ("keep.", Scenario(_upload_large)),
    ("heal.rewritten", HEALING),
    ("heal.exchanged", Scenario(_upload_healing, _lose_file, _heal)),
    ("journal.", PROMOTION),
    ("switch.", PROMOTION),
    ("switch.", ROLLBACK),
    ("promotion.", PROMOTION),
    ("promotion.", ROLLBACK),
    ("host.link", POINT_HOST),
    ("host.removed", Scenario(_set_domains([]), _set_domains(["www.example.org"]))),
    ("environment.", Scenario(_delete_stage, _make_stage, afterwards=_make_stage)),
    ("delete.tree", Scenario(_delete_spare, _make_spare)),
    ("delete.site", Scenario(_delete_site, _make_site, afterwards=_make_site)),
    ("sweep.blob", Scenario(_sweep_blobs, _spare_deleted)),
    ("sweep.staging", Scenario(_sweep_staging, _junk_in_staging)),
    ("variant.", Scenario(_upload_compressible)),
)
"""Which work comes by the points whose names begin like this."""
