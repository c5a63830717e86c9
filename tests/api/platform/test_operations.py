"""What operators ask: alive, ready, measured, how large and which version."""

from pathlib import Path

import pytest
import requests
from flask import Flask

from core.metrics import metrics_folder
from tests.api.platform.applications import Server, make_app
from tests.api.platform.conftest import Caller

ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}


def test_a_living_process_says_so_without_a_database(tmp_path: Path) -> None:
    answer = make_app(tmp_path).test_client().get("/healthz")

    assert (answer.status_code, answer.get_json()) == (200, {"status": "ok"})


def test_readiness_names_every_check(caller: Caller) -> None:
    document = caller.client.get("/readyz").get_json()

    assert {"database", "migrations", "recovery", "storage", "proxy"} <= set(document["checks"])
    assert document["checks"]["database"] == {"status": "ok"}


def test_an_empty_database_is_not_ready(tmp_path: Path) -> None:
    answer = make_app(tmp_path).test_client().get("/readyz")

    assert answer.status_code == 503
    assert answer.get_json()["checks"]["migrations"]["status"] == "failed"
    assert "Retry-After" in answer.headers
    assert str(tmp_path) not in answer.get_data(as_text=True)


def test_an_uncounted_proxy_degrades(tmp_path: Path) -> None:
    client = make_app(tmp_path).test_client()
    client.get("/healthz", headers={"X-Forwarded-For": "198.51.100.1"})

    assert client.get("/readyz").get_json()["checks"]["proxy"]["status"] == "degraded"


def test_metrics_count_by_route_and_sum_all_workers(server: Server) -> None:
    for number in range(1, 31):
        requests.get(
            f"{server.url}/api/v1/probe/numbers/{number}", headers=server.headers, timeout=30
        )

    text = requests.get(f"{server.url}/metrics", timeout=30).text

    label = 'method="GET",route="/api/v1/probe/numbers/<int:number>",status="200"'
    line = next(
        row for row in text.splitlines() if row.startswith("relevo_requests_total") and label in row
    )
    assert float(line.rpartition(" ")[2]) >= 30
    assert "numbers/7" not in text
    assert len(list(metrics_folder_of(server).glob("counter_*.db"))) >= 2


def metrics_folder_of(server: Server) -> Path:
    return server.data_dir / "run" / "metrics"


def test_the_folder_of_the_metrics_is_known(app: Flask) -> None:
    assert metrics_folder(app.extensions["relevo.settings"]).is_dir()


def test_metrics_are_hidden_from_elsewhere(app: Flask) -> None:
    client = app.test_client()

    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", environ_base=ELSEWHERE).status_code == 404
    assert client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.7"}).status_code == 404


@pytest.mark.parametrize(("token", "status"), [("right-token", 200), ("wrong", 404), ("ä", 404)])
def test_a_token_opens_the_metrics(tmp_path: Path, token: str, status: int) -> None:
    client = make_app(tmp_path, METRICS_TOKEN="right-token").test_client()

    answer = client.get(
        "/metrics", environ_base=ELSEWHERE, headers={"Authorization": f"Bearer {token}"}
    )

    assert answer.status_code == status


def test_the_limits_are_told_by_the_names_of_their_settings(caller: Caller) -> None:
    document = caller.client.get("/api/v1/limits", headers=caller.headers).get_json()

    assert document["max_json_bytes"] == 1_048_576
    assert document["api_rate_limit"] == "100000/minute"
    assert not [name for name in document if "key" in name or "secret" in name]


def test_the_version_is_told_to_those_who_signed_in(caller: Caller) -> None:
    answer = caller.client.get("/api/v1/version", headers=caller.headers)

    assert answer.get_json()["name"] == "relevo"
    assert caller.client.get("/api/v1/version").status_code == 401
