from pathlib import Path

import pytest

from core.clock import utc_now
from services.passwords import verify
from services.sign_in import _account_of
from tests.cli.commands import Relevo
from tests.people import OTHER_PASSWORD, PASSWORD, People, find

HEADER = "username,email,role,is_active,full_name,phone,city,country,organisation\n"


def _password_of(people: People, username: str) -> str | None:
    with people.app.app_context():
        return find(username).password_hash


def _write(folder: Path, text: str, name: str = "users.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_user_is_made_with_an_invitation(relevo: Relevo) -> None:
    made = relevo("users", "create", "ana", "--email", "ana@example.org", "--role", "auditor")

    assert made.exit_code == 0
    assert "Created ana with the role auditor." in made.stdout
    assert "http://localhost:8000/reset#token=" in made.stdout


def test_a_password_comes_from_standard_input(relevo: Relevo, people: People) -> None:
    made = relevo.with_input(
        f"{OTHER_PASSWORD}\n", "users", "create", "ana", "--email", "a@b.org", "--password-stdin"
    )

    assert made.exit_code == 0
    assert verify(_password_of(people, "ana"), OTHER_PASSWORD).right


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["root", "--email", "x@y.org"], "already_exists"),
        (["Ana", "--email", "x@y.org"], "username"),
        (["ana", "--email", "nobody"], "email"),
        (["ana", "--email", "x@y.org", "--role", "owner"], "role"),
    ],
)
def test_a_refusal_says_why(relevo: Relevo, arguments: list[str], words: str) -> None:
    refused = relevo("users", "create", *arguments)

    assert refused.exit_code == 1
    assert words in refused.stderr


def test_users_are_listed_for_people_and_for_scripts(relevo: Relevo, people: People) -> None:
    people.user("ana", "auditor", is_active=False)

    lines = relevo("users", "list").stdout.splitlines()
    document = relevo.document("users", "list", "--inactive")

    assert [line.split() for line in lines] == [
        ["ana", "ana@example.org", "auditor", "inactive"],
        ["root", "root@example.org", "admin", "active"],
    ]
    assert [user["username"] for user in document["items"]] == ["ana"]


def test_a_password_is_set_and_a_weak_one_refused(relevo: Relevo, people: People) -> None:
    people.user("ana")

    weak = relevo.with_input("password\n", "users", "set-password", "ana", "--stdin")
    good = relevo.with_input(f"{OTHER_PASSWORD}\n", "users", "set-password", "ana", "--stdin")

    assert (weak.exit_code, good.exit_code) == (1, 0)
    assert verify(_password_of(people, "ana"), OTHER_PASSWORD).right


def test_a_reset_link_works_once(relevo: Relevo, people: People) -> None:
    people.user("ana")

    url = relevo.document("users", "reset-link", "ana")["url"]

    body = {"token": url.partition("#token=")[2], "new_password": OTHER_PASSWORD}
    assert people.nobody.post("/auth/reset", body).status_code == 204
    assert people.nobody.post("/auth/reset", body).status_code == 401


def test_users_are_deactivated_and_erased(relevo: Relevo, people: People) -> None:
    people.user("ana")

    assert relevo("users", "deactivate", "ana").exit_code == 0
    assert relevo("users", "erase", "ana", "--yes").exit_code == 0
    assert relevo("users", "deactivate", "ana").exit_code == 1
    assert relevo("users", "deactivate", "root").exit_code == 1


def test_what_is_exported_is_imported_unchanged(
    relevo: Relevo, people: People, tmp_path: Path
) -> None:
    people.user("ana", "auditor")
    people.caller("root").put("/users/ana/contact", {"full_name": "=1+1", "city": 'G"ra,z'})

    for name, kind in (("users.csv", "csv"), ("users.json", "json")):
        path = tmp_path / name
        assert relevo("users", "export", "--format", kind, "-o", path).exit_code == 0
        report = relevo.document("users", "import", path)
        assert (report["created"], report["updated"], report["unchanged"]) == (0, 0, 2)
    assert "'=1+1" in (tmp_path / "users.csv").read_text()


def test_an_import_creates_and_changes(relevo: Relevo, people: People, tmp_path: Path) -> None:
    people.user("bob")
    path = _write(
        tmp_path,
        HEADER
        + "ana,ana@example.org,auditor,true,Ana Müller,,Graz,,\n"
        + "bob,new@example.org,member,no,,,,,\n",
    )

    report = relevo.document("users", "import", path, "--invite")

    assert (report["created"], report["updated"]) == (1, 1)
    assert report["invitations"][0][0] == "ana"
    with people.app.app_context():
        ana, bob = find("ana"), find("bob")
        assert ana.contact is not None
        assert (ana.role.name, ana.contact.full_name) == ("auditor", "Ana Müller")
        assert (bob.email, bob.is_active) == ("new@example.org", False)


def test_a_dry_run_keeps_nothing(relevo: Relevo, people: People, tmp_path: Path) -> None:
    path = _write(tmp_path, HEADER + "ana,ana@example.org,,,,,,,\n")

    tried = relevo("users", "import", path, "--dry-run")

    assert tried.exit_code == 0
    assert "Would create 1" in tried.stdout
    with people.app.app_context():
        assert _account_of("ana") is None


def test_every_fault_is_named_by_its_line_and_nothing_is_changed(
    relevo: Relevo, people: People, tmp_path: Path
) -> None:
    people.user("bob")
    lines = [
        "good,good@example.org,,,,,,,",
        '"ana",ana@example.org,owner,,"two\nlines",,,,',
        "Not-A-Name,x@example.org,,,,,,,",
        "eve,bob@example.org,,,,,,,",
        "dup,good@example.org,,,,,,,",
        "odd,odd@example.org,,perhaps,,,,,",
        f"long,long@example.org,,,{'x' * 121},,,,",
        ",nameless@example.org,,,,,,,",
    ]
    path = _write(tmp_path, HEADER + "\n".join(lines) + "\n")

    refused = relevo("users", "import", path)

    assert refused.exit_code == 1
    named = [line.removeprefix(f"{path}:").split(" ")[:2] for line in refused.stderr.splitlines()]
    assert named == [
        ["3:", "role"],
        ["5:", "username"],
        ["6:", "email"],
        ["7:", "email"],
        ["8:", "is_active"],
        ["9:", "full_name"],
        ["10:", "username"],
    ]
    assert "nothing was changed" in refused.stdout
    with people.app.app_context():
        assert _account_of("good") is None


def test_faults_of_json_are_named_by_their_line(
    relevo: Relevo, people: People, tmp_path: Path
) -> None:
    text = """[
  {"username": "ana", "email": "ana@example.org"},
  {"username": "bob",
   "email": 7},

  {"email": "x@example.org", "password": "x"}
]
"""
    path = _write(tmp_path, text, "users.json")

    refused = relevo.document("users", "import", path, exit_code=1)

    assert [(error["line"], error["field"]) for error in refused["errors"]] == [
        (3, "email"),
        (6, "password"),
        (6, "username"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("users.csv", "", 1),
        ("users.csv", "name,email\n", 1),
        ("users.csv", HEADER + "ana,x@y.org\n", 2),
        ("users.csv", HEADER + 'ana,"x@y.org\n', 2),
        ("users.csv", HEADER.replace("city", "password"), 1),
        ("users.json", "{}", 1),
        ("users.json", '[\n{"username": "ana"}\n', 3),
        ("users.json", '[\n{"username": "ana"}\n{"username": "bob"}]', 3),
        ("users.json", "[\n\n7]", 3),
        ("users.json", "[" + '{"a":' * 3000 + "]", 1),
    ],
)
def test_a_file_that_is_none_is_refused_at_its_line(
    relevo: Relevo, tmp_path: Path, name: str, text: str, line: int
) -> None:
    refused = relevo("users", "import", _write(tmp_path, text, name))

    assert refused.exit_code == 1
    assert f"{name}:{line}: file" in refused.stderr


def test_a_file_that_is_not_text_is_refused(relevo: Relevo, tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_bytes(HEADER.encode() + b"ana,\xff\xfe,,,,,,,\n")

    refused = relevo("users", "import", path)

    assert f"{path}:2: file is not UTF-8" in refused.stderr


def test_an_import_leaves_an_administrator(relevo: Relevo, tmp_path: Path) -> None:
    path = _write(tmp_path, HEADER + "root,root@example.org,member,true,,,,,\n")

    refused = relevo("users", "import", path)

    assert refused.exit_code == 1
    assert "administer" in refused.stderr


def test_a_short_password_does_not_stay_alone(relevo: Relevo, people: People) -> None:
    people.user("ana", totp_secret="x", totp_confirmed_at=utc_now(), password_is_short=True)
    caller = people.caller("ana")

    removed = relevo("users", "remove-totp", "ana")

    assert removed.exit_code == 0
    login = {"username": "ana", "password": PASSWORD}
    assert people.nobody.post("/auth/login", login).status_code == 401
    assert caller.get("/auth/whoami").status_code == 401
    body = {"token": removed.output.partition("#token=")[2].strip(), "new_password": OTHER_PASSWORD}
    assert people.nobody.post("/auth/reset", body).status_code == 204
    login["password"] = OTHER_PASSWORD
    assert people.nobody.post("/auth/login", login).status_code == 200


def test_a_lost_second_factor_is_removed(relevo: Relevo, people: People) -> None:
    people.user("ana")
    secret = people.caller("ana").post("/auth/totp").json["secret"]

    removed = relevo("users", "remove-totp", "ana")

    assert removed.exit_code == 0
    with people.app.app_context():
        assert secret
        assert find("ana").totp_secret is None
    login = {"username": "ana", "password": PASSWORD}
    assert people.nobody.post("/auth/login", login).status_code == 200
