"""The WSGI application that visitors of the sites talk to.

It needs the sites folder and nothing else: no database, no Redis, no API.
"""

from collections.abc import Iterable
from http import HTTPStatus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from core.clock import monotonic
from core.settings import Settings
from serving.access_log import Visit, log_damage, log_visit
from serving.answers import Answer, plain_answer, send
from serving.catalogue import Catalogue
from serving.hosts import Pointed, find_release, host_name
from serving.pages import Pages
from serving.paths import DotSegmentsError
from serving.representations import ReleaseFiles
from storage.errors import DamagedReleaseError
from storage.layout import Layout

ALLOWED_METHODS = ("GET", "HEAD")
HEALTH_PATH = "/healthz"


def create_sites_app(settings: Settings) -> WSGIApplication:
    """Make the application for the sites below `settings.sites_root`."""
    return SitesApplication(settings)


class SitesApplication:
    """Chooses the release by the Host header and answers from its files."""

    def __init__(self, settings: Settings) -> None:
        self._layout = Layout(settings.sites_root)
        self._catalogue = Catalogue(self._layout)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; see PEP 3333."""
        started = monotonic()
        host = host_name(environ.get("HTTP_HOST", ""))
        answer, pointed = self._answer(environ, host)
        answer.headers += _site_headers(pointed)
        visit = Visit.of(environ, host=host, status=answer.status, pointed=pointed, started=started)
        return send(answer, environ, start_response, lambda size: log_visit(visit, size))

    def _answer(self, environ: WSGIEnvironment, host: str | None) -> tuple[Answer, Pointed | None]:
        pointed = self._pointed(host)
        while pointed is not None:
            try:
                return self._site_answer(environ, pointed), pointed
            except DamagedReleaseError as error:
                # The release may have been deleted after the host had moved on to another.
                again = self._pointed(host)
                if again == pointed:
                    log_damage(pointed, error)
                    return plain_answer(HTTPStatus.SERVICE_UNAVAILABLE), pointed
                pointed = again
        return self._answer_without_site(environ), None

    def _pointed(self, host: str | None) -> Pointed | None:
        return find_release(self._layout, host) if host else None

    def _site_answer(self, environ: WSGIEnvironment, pointed: Pointed) -> Answer:
        if environ["REQUEST_METHOD"] not in ALLOWED_METHODS:
            allow = ("Allow", ", ".join(ALLOWED_METHODS))
            return plain_answer(HTTPStatus.METHOD_NOT_ALLOWED, allow)
        entries = self._catalogue.manifest(pointed.slug, pointed.digest).by_path
        files = ReleaseFiles(self._layout, pointed.slug, pointed.digest)
        try:
            return Pages(entries, files).answer(environ)
        except DotSegmentsError:
            return plain_answer(HTTPStatus.BAD_REQUEST)

    def _answer_without_site(self, environ: WSGIEnvironment) -> Answer:
        """Tell whoever watches this process how it is; there is nothing else without a site."""
        is_read = environ["REQUEST_METHOD"] in ALLOWED_METHODS
        if not is_read or environ.get("PATH_INFO") != HEALTH_PATH:
            return plain_answer(HTTPStatus.NOT_FOUND)
        if not self._layout.root.is_dir():
            return plain_answer(HTTPStatus.SERVICE_UNAVAILABLE)
        return plain_answer(HTTPStatus.OK)


def _site_headers(pointed: Pointed | None) -> list[tuple[str, str]]:
    headers = [("X-Content-Type-Options", "nosniff")]
    if pointed is None:
        return headers
    headers.append(("X-Release", pointed.short_digest))
    if not pointed.is_listed:
        # The address of a release is its only protection, so it must not leak by Referer.
        headers += [("X-Robots-Tag", "noindex"), ("Referrer-Policy", "same-origin")]
    return headers
