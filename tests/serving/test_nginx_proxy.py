"""What the shipped nginx configuration lets through to the API."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.services_guard import required_program
from tests.serving.exchange import Reply, fetch
from tests.serving.servers import API_NAME, running_nginx

pytestmark = pytest.mark.service


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        read = len(self.rfile.read(length))
        heard = {"path": self.path, "headers": dict(self.headers), "read": read}
        body = json.dumps(heard).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the base class looks for this name

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def proxy_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    program = required_program("nginx")
    work = tmp_path_factory.mktemp("proxy")
    (work / "sites").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as upstream:
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        port = upstream.server_address[1]
        try:
            with running_nginx(program, work / "sites", work, upstream=port) as nginx:
                yield nginx
        finally:
            upstream.shutdown()
            thread.join()


def heard(answer: Reply) -> dict[str, str]:
    headers = json.loads(answer.body)["headers"]
    assert isinstance(headers, dict)
    return headers


@pytest.mark.parametrize(
    "target", ["/", "/api/v1/sites?page=2", "/swagger", "/admin/", "/healthz", "/a%2Fb/../c"]
)
def test_addresses_reach_the_api_as_they_were_sent(proxy_port: int, target: str) -> None:
    answer = fetch(proxy_port, target, host=API_NAME)

    assert json.loads(answer.body)["path"] == target


def test_the_api_learns_who_asks_and_a_client_cannot_claim_it(proxy_port: int) -> None:
    claims = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "x"}

    headers = heard(fetch(proxy_port, "/", host=API_NAME, headers=claims))

    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-Host"] == headers["Host"] == API_NAME


def test_metrics_do_not_leave_the_machine(proxy_port: int) -> None:
    assert fetch(proxy_port, "/metrics", host=API_NAME).status == 404


def test_a_body_that_no_upload_may_have_is_refused(proxy_port: int) -> None:
    too_much = {"Content-Length": str(1200 * 1024 * 1024)}

    assert fetch(proxy_port, "/", host=API_NAME, method="POST", headers=too_much).status == 413


def test_sites_do_not_see_the_api(proxy_port: int) -> None:
    assert fetch(proxy_port, "/api/v1/sites", host="web.localhost").status == 404


def test_every_placeholder_is_marked() -> None:
    shipped = Path(__file__).parents[2] / "deploy" / "nginx" / "relevo.conf"
    body = shipped.read_text().partition("# ----")[2].partition("-- TLS")[0]
    changing = ["/var/lib/relevo", "example", "127.0.0.1", "listen "]

    for line in body.splitlines():
        if any(word in line for word in changing) and not line.strip().startswith("#"):
            assert "# CHANGE" in line, line
