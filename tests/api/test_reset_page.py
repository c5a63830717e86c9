import re

from tests.people import People


def test_the_address_of_an_invitation_is_a_page_that_exists(people: People) -> None:
    body = {"username": "ana", "email": "ana@example.org"}
    url = people.caller("root").post("/users", body).json["invitation_url"]
    path = url.removeprefix("http://localhost:8000").partition("#")[0]

    answer = people.app.test_client().get(path)

    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    assert "/api/v1/auth/reset" in answer.text


def test_only_the_script_of_the_page_may_run(people: People) -> None:
    answer = people.app.test_client().get("/reset")

    nonce = re.search(r'<script nonce="([\w-]+)">', answer.text)
    policy = answer.headers["Content-Security-Policy"]
    assert nonce is not None
    assert f"script-src 'nonce-{nonce[1]}'" in policy
    assert "default-src 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
