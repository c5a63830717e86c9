import pytest

from tests.cli.commands import Relevo
from tests.people import People


def test_a_token_is_printed_alone_and_works(relevo: Relevo, people: People) -> None:
    made = relevo("tokens", "create", "root", "--name", "CI", "--preset", "deploy", "--days", "7")

    token = made.stdout.strip()
    answer = people.nobody.get("/auth/whoami", Authorization=f"Bearer {token}")
    assert answer.json["user"] == "root"
    assert "Expires at" in made.stderr


def test_a_token_never_carries_more_than_its_owner_holds(relevo: Relevo, people: People) -> None:
    people.user("ana")

    refused = relevo("tokens", "create", "ana", "--name", "x", "--scope", "users:write")

    assert refused.exit_code == 1
    assert "scope_not_held" in refused.stderr


def test_a_token_is_limited_to_sites_and_addresses(relevo: Relevo, people: People) -> None:
    people.site("web")
    limits = ["--site", "web", "--environment", "test", "--cidr", "192.0.2.0/24"]

    made = relevo("tokens", "create", "root", "--name", "x", "--scope", "sites:read", *limits)
    refused = relevo("tokens", "create", "root", "--name", "x", "--scope", "x", "--site", "no")

    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert people.nobody.get("/auth/whoami", **headers).status_code == 401
    assert refused.exit_code == 1


@pytest.mark.parametrize("name", ["Main", "releases", "a--b", "x" * 16])
def test_what_cannot_name_an_environment_is_refused(relevo: Relevo, name: str) -> None:
    limits = ["--preset", "read", "--environment", "test", "--environment", name]

    refused = relevo("tokens", "create", "root", "--name", "x", *limits)

    assert refused.exit_code == 1
    assert "15 at most" in refused.stderr


def test_either_scopes_or_a_preset_are_needed(relevo: Relevo) -> None:
    for arguments in ([], ["--preset", "read", "--scope", "sites:read"]):
        assert relevo("tokens", "create", "root", "--name", "x", *arguments).exit_code == 2


def test_tokens_are_listed_and_revoked(relevo: Relevo) -> None:
    relevo("tokens", "create", "root", "--name", "CI", "--preset", "read")
    token_id = relevo.document("tokens", "list", "root")["items"][0]["id"]

    assert relevo("tokens", "revoke", "root", token_id).exit_code == 0
    assert relevo.document("tokens", "list", "root")["items"][0]["state"] == "revoked"
    assert "revoked" in relevo("tokens", "list", "root").stdout
    assert relevo("tokens", "revoke", "root", "unknown").exit_code == 1
