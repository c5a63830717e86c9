"""Many uploads at once, against the real program with two workers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from models.environments import Environment
from services.transaction import end_reading
from tests.api.served import Served, serve
from tests.archives.zip_maker import simple_zip
from tests.factories import environment, live, make_site, page, release, served, staged

UPLOADS = 16
CONTENTS = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("uploads")) as running:
        with running.people.app.app_context():
            make_site()
        yield running


def _send(server: Served, token: str, text: str) -> requests.Response:
    return requests.post(
        f"{server.url}/api/v1/sites/web/releases",
        data=simple_zip(page(text)),
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )


def test_no_upload_is_refused_and_the_newest_submission_ends_live(server: Served) -> None:
    token = server.log_in("root")["access_token"]

    with ThreadPoolExecutor(UPLOADS) as pool:
        texts = [f"page {number % CONTENTS}" for number in range(UPLOADS)]
        answers = list(pool.map(lambda text: _send(server, token, text), texts))

    assert {answer.status_code for answer in answers} <= {200, 201}, [
        answer.text for answer in answers if answer.status_code > 201
    ]
    with server.people.app.app_context():
        releases = [release(number) for number in range(1, CONTENTS + 1)]
        newest = max(releases, key=lambda item: item.latest_submission_id or 0)
        place: Environment = environment("test")
        end_reading()
        assert sum(item.submission_count for item in releases) == UPLOADS
        assert live("test") == newest.number
        assert place.generation >= 1
        assert served("test").startswith("page ")
        assert staged() == []
    log = server.log.read_text(errors="replace")
    assert "database is locked" not in log
    assert "Traceback" not in log
    assert token not in log
