import json
import logging
from pathlib import Path

import pytest

from tests.serving.conftest import FILES, Visitor
from tests.serving.exchange import fetch
from tests.serving.servers import running_gunicorn
from tests.serving.trees import write_site

LOGGER = "relevo.sites"


def test_each_visit_is_one_line_with_fields(
    visitor: Visitor, site: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        visitor.get("/gr%C3%BCn?token=secret", host="web.localhost:8080")

    (record,) = caplog.records
    assert record.getMessage() == "GET web.localhost /grün 200"
    fields = vars(record)
    assert (fields["host"], fields["path"], fields["status"]) == ("web.localhost", "/grün", 200)
    assert (fields["size_bytes"], fields["release"]) == (len(FILES["grün.html"]), site[:16])
    assert fields["duration_ms"] >= 0
    assert "secret" not in str(fields)


def test_visits_are_not_written_below_their_level(
    visitor: Visitor, site: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, LOGGER):
        visitor.get("/")

    assert not caplog.records


def test_a_large_file_is_logged_when_it_was_sent(
    visitor: Visitor, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_site(root, {"large.bin": bytes(1 << 20)})

    with caplog.at_level(logging.INFO, LOGGER):
        visitor.get("/large.bin", range="bytes=0-99999").close()

    assert [vars(record)["size_bytes"] for record in caplog.records] == [100_000]


def test_damage_is_an_error_that_names_the_file(
    visitor: Visitor, root: Path, site: str, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "web" / "releases" / site / "style.css").unlink()

    with caplog.at_level(logging.ERROR, LOGGER):
        visitor.get("/style.css")

    (record,) = caplog.records
    assert vars(record)["missing"] == ("style.css",)
    assert vars(record)["site"] == "web"


def test_the_server_writes_json_to_standard_error(root: Path, tmp_path: Path) -> None:
    digest = write_site(root, {"index.html": b"home"})

    with running_gunicorn(root, tmp_path, log_level="INFO") as port:
        fetch(port, "/index.html")

    lines = (tmp_path / "gunicorn.log").read_text().splitlines()
    visits = [json.loads(line) for line in lines if '"path":' in line]
    assert [visit["release"] for visit in visits if visit["path"] == "/index.html"] == [digest[:16]]
