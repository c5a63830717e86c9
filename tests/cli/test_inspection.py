"""`relevo routes` and `relevo shell`."""

from tests.cli.commands import Relevo, run_process
from tests.people import People


def test_routes_tell_scopes_and_summaries(relevo: Relevo) -> None:
    result = relevo("routes", "--grep", "/rollback")

    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert line.split(maxsplit=3) == [
        "POST",
        "/api/v1/sites/{slug}/rollback",
        "promotions:rollback",
        "Roll an environment back",
    ]


def test_routes_list_every_method_of_every_address(relevo: Relevo, people: People) -> None:
    document = relevo.document("routes")

    listed = [(route["method"], route["path"]) for route in document["items"]]
    assert len(listed) == len(set(listed))
    assert ("GET", "/healthz") in listed
    described = people.nobody.client.get("/openapi.json").get_json()["paths"]
    wanted = {
        (method.upper(), path if path.startswith("/api") else f"/api/v1{path}")
        for path, methods in described.items()
        for method in methods
        if method in ("get", "post", "put", "patch", "delete")
    }
    assert wanted <= set(listed)


def test_the_shell_has_models_and_services_at_hand(people: People) -> None:
    data_dir = people.app.extensions["relevo.settings"].data_dir
    lines = [
        "print('sites', sites.create_site(actor=actor, slug='web', name='Web').slug)",
        "print('rows', session.query(Site).count(), store.layout.root == settings.sites_root)",
        "with transaction():",
        "    session.query(Site).one().name = 'Ours'",
        "",
        "print('name', site_reads.get_view(actor=actor, slug='web').name, app.name)",
    ]

    result = run_process("shell", data_dir=data_dir, text_in="\n".join(lines) + "\n")

    assert result.returncode == 0, result.stderr
    assert "sites web" in result.stdout
    assert "rows 1 True" in result.stdout
    assert "name Ours relevo" in result.stdout
