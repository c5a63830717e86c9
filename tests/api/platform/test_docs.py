"""Documents are valid, complete and guarded; pages need nothing from elsewhere."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate
from sqlalchemy import update

from models.engine import db
from models.users import User
from services.passwords import hash_password
from services.transaction import transaction
from tests.api.platform.applications import make_app, sign_in

DOCUMENTS = ["/swagger.json", "/openapi.json", "/postman.json"]
PAGES = ["/swagger", "/redoc"]
METHODS = {"get", "post", "put", "patch", "delete"}
PASSWORD = "correct horse battery staple"
Found = dict[str, Any]  # Any: JSON of every shape


@pytest.fixture(scope="module")
def documents(app: Flask) -> dict[str, Found]:
    client = app.test_client()
    return {path: client.get(path).get_json() for path in DOCUMENTS}


def operations(document: Found) -> dict[tuple[str, str], Found]:
    return {
        (path, method): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


@pytest.mark.parametrize("path", ["/swagger.json", "/openapi.json"])
def test_documents_are_valid(documents: dict[str, Found], path: str) -> None:
    validate(documents[path])


def test_both_documents_list_every_operation_that_is_routed(
    app: Flask, documents: dict[str, Found]
) -> None:
    routed = {
        (re.sub(r"<(?:\w+(?:\(.*?\))?:)?(\w+)>", r"{\1}", rule.rule[7:]), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
        for method in rule.methods or ()
        if method.lower() in METHODS
    }

    assert set(operations(documents["/openapi.json"])) == routed
    assert set(operations(documents["/swagger.json"])) == routed


def test_operation_ids_are_unique_and_the_same_in_both(documents: dict[str, Found]) -> None:
    ids = [
        {place: operation["operationId"] for place, operation in operations(document).items()}
        for document in (documents["/openapi.json"], documents["/swagger.json"])
    ]

    assert ids[0] == ids[1]
    assert len(set(ids[0].values())) == len(ids[0])


def test_every_operation_tells_how_it_is_refused(documents: dict[str, Found]) -> None:
    for place, operation in operations(documents["/openapi.json"]).items():
        answers = set(operation["responses"])
        assert {"400", "422", "429", "default"} <= answers, place
        assert operation.get("security") is not None or {"401", "403"} <= answers, place
        assert place[1] != "patch" or {"412", "428"} <= answers, place
        assert "{" not in place[0] or "404" in answers, place


def test_references_lead_somewhere(documents: dict[str, Found]) -> None:
    for path, prefix in [("/openapi.json", "components/schemas"), ("/swagger.json", "definitions")]:
        document = documents[path]
        names = re.findall(rf'"#/{prefix}/(\w+)"', json.dumps(document))
        known = document["components"]["schemas"] if "components" in document else None
        assert set(names) <= set(known or document["definitions"])


def test_answers_may_grow_and_bodies_may_not(documents: dict[str, Found]) -> None:
    schemas = documents["/openapi.json"]["components"]["schemas"]

    assert schemas["ThingIn"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["ThingOut"]


def test_no_secret_or_address_of_this_machine_is_in_a_document(
    app: Flask, documents: dict[str, Found]
) -> None:
    text = json.dumps(documents)

    assert str(app.extensions["relevo.settings"].data_dir) not in text
    assert app.extensions["relevo.settings"].secret_key not in text


@pytest.mark.parametrize("path", PAGES)
def test_pages_run_only_scripts_of_ours(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)
    page, policy = answer.get_data(as_text=True), answer.headers["Content-Security-Policy"]

    nonce = re.findall(r"script-src 'nonce-([\w-]+)'", policy)[0]
    assert page.count("<script") == page.count(f'<script nonce="{nonce}"') > 0
    assert not re.search(r"(src|href)=\"(https?:)?//", page)
    assert ("unsafe-inline" in policy) == (path == "/redoc")
    assert "unsafe-eval" not in policy


def test_each_answer_has_its_own_nonce(app: Flask) -> None:
    policies = {
        app.test_client().get("/swagger").headers["Content-Security-Policy"] for _ in range(3)
    }

    assert len(policies) == 3


def test_swagger_keeps_the_authorisation_over_a_reload(app: Flask) -> None:
    page = app.test_client().get("/swagger").get_data(as_text=True)

    assert "persistAuthorization: true" in page
    assert "deepLinking: true" in page
    assert "tryItOutEnabled: true" in page


def test_redoc_fetches_no_logo_from_its_makers(app: Flask) -> None:
    script = app.test_client().get("/docs-assets/redoc.js").get_data()

    assert len(script) > 500_000
    assert b"cdn.redoc.ly" not in script


@pytest.mark.parametrize(
    "name",
    ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-preset.js", "reader.css", "page.css"],
)
def test_assets_are_served_from_here(app: Flask, name: str) -> None:
    with app.test_client().get(f"/docs-assets/{name}") as answer:
        assert answer.status_code == 200


@pytest.mark.parametrize("name", ["..%2fdocs.py", "__init__.py", "scalar.js", "nothing.css"])
def test_nothing_else_is_an_asset(app: Flask, name: str) -> None:
    assert app.test_client().get(f"/docs-assets/{name}").status_code == 404


def test_problem_pages_need_no_script_or_inline_style(app: Flask) -> None:
    page = app.test_client().get("/problems/not_found").get_data(as_text=True)

    assert "<script" not in page
    assert "style=" not in page
    assert app.test_client().get("/problems/nonsense").status_code == 404


@pytest.mark.parametrize("path", PAGES + DOCUMENTS)
def test_documents_can_be_switched_off(tmp_path: Path, path: str) -> None:
    client = make_app(tmp_path, DOCS_ACCESS="off").test_client()

    assert client.get(path).status_code == 404
    assert client.get("/problems/not_found").status_code == 200


@pytest.mark.parametrize("path", PAGES + DOCUMENTS)
def test_documents_can_ask_for_a_login(tmp_path: Path, path: str) -> None:
    app = make_app(tmp_path, DOCS_ACCESS="login")
    sign_in(app)
    with app.app_context(), transaction():
        db.session.execute(update(User).values(password_hash=hash_password(PASSWORD)))
    client = app.test_client()

    def get(password: str | None) -> tuple[int, str | None]:
        given = base64.b64encode(f"ana:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {given}"} if password else {}
        answer = client.get(path, headers=headers)
        return answer.status_code, answer.headers.get("WWW-Authenticate")

    assert get(None) == (401, 'Basic realm="relevo", charset="UTF-8"')
    assert get("wrong")[0] == 401
    assert get(PASSWORD)[0] == 200


def test_an_unchanged_document_is_not_sent_again(app: Flask) -> None:
    client = app.test_client()
    tag = client.get("/openapi.json").headers["ETag"]

    assert client.get("/openapi.json", headers={"If-None-Match": tag}).status_code == 304
