"""Who may call what: one declared answer for every operation and every kind of caller.

A call of somebody who may does not change anything: its body is refused after the checks of
rights, so the status of "may" is mostly 422. An operation without an entry fails the build.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

from tests.people import GLOBAL_ROLES, OTHER_PASSWORD, SITE_ROLES

TOKENS = ("token", "token without the scope", "token of another site")
NOBODY = ("nobody", "deactivated user")
CALLERS = (*NOBODY, *GLOBAL_ROLES, *SITE_ROLES, *TOKENS)
SESSIONS = (*GLOBAL_ROLES, *SITE_ROLES)

PROBE = {"authorization-table": True}
PATH = {
    "slug": "web",
    "username": "target",
    "name": "test",
    "number": "1",
    "id": "unknown",
    "backup_id": "unknown",
    "comment_id": "unknown",
    "delivery": "unknown",
    "path": "index.html",
}
_serial = count()


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The status each caller gets, and the call that shows it.

    `token_scopes` are what the token carries; the one without the scope carries jobs:read only.
    """

    answers: Mapping[str, int]
    body: object = field(default_factory=lambda: PROBE)
    token_scopes: tuple[str, ...] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    query: str = ""


def everybody(status: int) -> dict[str, int]:
    """All callers, with or without a credential."""
    return dict.fromkeys(CALLERS, status)


def known(status: int) -> dict[str, int]:
    """All callers with a credential that works."""
    return everybody(status) | dict.fromkeys(NOBODY, 401)


def people(status: int, *, tokens: int = 403) -> dict[str, int]:
    """Whoever signed in, but no token."""
    return known(status) | dict.fromkeys(TOKENS, tokens)


def only(status: int, *roles: str, others: int = 403, elsewhere: int = 403) -> dict[str, int]:
    """Global roles by name, and a token with the scope; everybody else gets `others`."""
    return (
        known(others)
        | dict.fromkeys(roles, status)
        | {
            "token": status,
            "token without the scope": others,
            "token of another site": elsewhere,
        }
    )


def readers(status: int = 200) -> dict[str, int]:
    """Whoever may see the site; for all others it does not exist."""
    return only(
        status, "admin", "maintainer", "auditor", *SITE_ROLES, others=404, elsewhere=404
    ) | {"token without the scope": 403}


def writers(status: int, *site_roles: str) -> dict[str, int]:
    """Administrators, maintainers and some site roles; other readers of the site get 403."""
    may_not = dict.fromkeys(["auditor", *SITE_ROLES], 403)
    return (
        readers() | may_not | dict.fromkeys(["admin", "maintainer", "token", *site_roles], status)
    )


def new_site() -> dict[str, object]:
    """A site with a slug of its own."""
    return {"slug": f"new-{next(_serial)}", "name": "New"}


def _read(*, path: Mapping[str, str] | None = None, status: int = 200) -> Rule:
    return Rule(answers=readers(status), body=None, token_scopes=("sites:read",), path=path or {})


def _write(scope: str, *site_roles: str, status: int = 422) -> Rule:
    return Rule(answers=writers(status, *site_roles), token_scopes=("sites:read", scope))


def _oneself_or(scope: str, *roles: str) -> dict[str, int]:
    """Reading somebody else: hidden without the scope."""
    return only(200, *roles, others=404, elsewhere=404)


MAY_READ_USERS = ("admin", "maintainer", "auditor")
MANAGE_USERS = ("users:read", "users:write", "requests:read", "requests:write")
READ_USERS = ("users:read",)
NEW_TOKEN = {"name": "test", "scopes": ["requests:read"]}
NEW_PASSWORD = {"current_password": "wrong", "new_password": OTHER_PASSWORD}
ROLE = {"name": "reader"}

AUTH: dict[str, Rule] = {
    "POST /auth/login": Rule(answers=everybody(422)),
    "POST /auth/refresh": Rule(answers=everybody(422)),
    "POST /auth/logout": Rule(answers=everybody(422)),
    "POST /auth/logout-all": Rule(answers=everybody(422)),
    "POST /auth/reset": Rule(answers=everybody(422)),
    "GET /auth/whoami": Rule(answers=known(200), body=None),
    "GET /auth/sessions": Rule(answers=people(200), body=None),
    "DELETE /auth/sessions/<id>": Rule(answers=people(404), body=None),
    "PUT /auth/password": Rule(answers=people(422), body=NEW_PASSWORD),
    "POST /auth/totp": Rule(answers=people(200), body={}),
    "POST /auth/totp/confirm": Rule(answers=people(422), body={"otp": "000000"}),
    "DELETE /auth/totp": Rule(answers=people(204), body=None),
    "GET /tokens": Rule(answers=people(200), body=None),
    "POST /tokens": Rule(answers=people(201), body=NEW_TOKEN),
    "GET /tokens/<opaque:id>": Rule(answers=people(404), body=None),
    "DELETE /tokens/<opaque:id>": Rule(answers=people(404), body=None),
    "POST /tokens/<opaque:id>/rotate": Rule(answers=people(404), body={}),
    "GET /tokens/self": Rule(answers=people(404, tokens=200), body=None),
    "POST /tokens/self/rotate": Rule(answers=people(404, tokens=201), body={}),
}

PEOPLE: dict[str, Rule] = {
    "GET /users": Rule(answers=only(200, *MAY_READ_USERS), body=None, token_scopes=READ_USERS),
    "POST /users": Rule(answers=only(422, "admin"), token_scopes=MANAGE_USERS),
    "GET /users/<username>": Rule(
        answers=_oneself_or("users:read", *MAY_READ_USERS), body=None, token_scopes=READ_USERS
    ),
    "PATCH /users/<username>": Rule(answers=only(422, "admin"), token_scopes=MANAGE_USERS),
    "DELETE /users/<username>": Rule(answers=only(422, "admin"), token_scopes=MANAGE_USERS),
    "POST /users/<username>/erase": Rule(answers=only(422, "admin"), token_scopes=MANAGE_USERS),
    "GET /users/<username>/contact": Rule(
        answers=_oneself_or("users:read", *MAY_READ_USERS), body=None, token_scopes=READ_USERS
    ),
    "PUT /users/<username>/contact": Rule(
        answers=_oneself_or("users:read")
        | {"admin": 422, "token": 422, "maintainer": 403, "auditor": 403},
        token_scopes=MANAGE_USERS,
    ),
    "DELETE /users/<username>/contact": Rule(
        answers=_oneself_or("users:read")
        | {"admin": 422, "token": 422, "maintainer": 403, "auditor": 403},
        token_scopes=MANAGE_USERS,
    ),
    "GET /roles": Rule(answers=known(200), body=None),
    "POST /roles": Rule(answers=only(422, "admin"), token_scopes=("roles:write",)),
    "GET /roles/<name>": Rule(answers=known(200), body=None, path=ROLE),
    # A role is changed by those who hold all it grants; roles:write alone does not do.
    "PATCH /roles/<name>": Rule(
        answers=only(422, "admin") | {"token": 403}, token_scopes=("roles:write",), path=ROLE
    ),
    "DELETE /roles/<name>": Rule(
        answers=only(422, "admin") | {"token": 403}, token_scopes=("roles:write",), path=ROLE
    ),
    "GET /permissions": Rule(answers=known(200), body=None),
    "GET /audit": Rule(
        answers=only(200, "admin", "auditor"), body=None, token_scopes=("audit:read",)
    ),
    "GET /audit/verify": Rule(
        answers=only(200, "admin", "auditor"), body=None, token_scopes=("audit:read",)
    ),
}

MEMBER = {"username": "reader-user"}

SITES: dict[str, Rule] = {
    "GET /sites": Rule(
        answers=known(200) | {"token without the scope": 403},
        body=None,
        token_scopes=("sites:read",),
    ),
    "POST /sites": Rule(
        answers=only(201, "admin", "maintainer"), body=new_site, token_scopes=("sites:write",)
    ),
    "GET /sites/<slug>": _read(),
    "PATCH /sites/<slug>": _write("sites:write", "owner"),
    "DELETE /sites/<slug>": _write("sites:write", "owner"),
    "POST /sites/<slug>/prune": _write("sites:write", "owner"),
    "GET /sites/<slug>/members": _read(),
    "GET /sites/<slug>/members/<username>": _read(path=MEMBER),
    "PUT /sites/<slug>/members/<username>": _write("members:write", "owner"),
    "DELETE /sites/<slug>/members/<username>": _write("members:write", "owner"),
    "GET /sites/<slug>/environments": _read(),
    "POST /sites/<slug>/environments": _write("environments:write", "owner"),
    "GET /sites/<slug>/environments/<name>": _read(),
    "PATCH /sites/<slug>/environments/<name>": _write("environments:write", "owner"),
    "DELETE /sites/<slug>/environments/<name>": _write("environments:write", "owner"),
    "PUT /sites/<slug>/environments/<name>/lock": _write("environments:write", "owner"),
    "DELETE /sites/<slug>/environments/<name>/lock": _write("environments:write", "owner"),
    "DELETE /sites/<slug>/environments/<name>/hold": _write(
        "promotions:write", "owner", "deployer"
    ),
    "GET /sites/<slug>/releases": _read(),
    "POST /sites/<slug>/releases": _write("releases:write", "owner", "deployer", status=415),
    "GET /sites/<slug>/releases/<int:number>": _read(),
    "PATCH /sites/<slug>/releases/<int:number>": _write("releases:write", "owner", "deployer"),
    "DELETE /sites/<slug>/releases/<int:number>": _write("releases:write", "owner", "deployer"),
    "GET /sites/<slug>/releases/<int:number>/manifest": _read(),
    "GET /sites/<slug>/releases/<int:number>/files/<path:path>": _read(),
    "GET /sites/<slug>/releases/<int:number>/archive.tar.gz": _read(),
    "GET /sites/<slug>/plan": _read(),
    "GET /sites/<slug>/promotions": _read(),
    "POST /sites/<slug>/promotions": _write("promotions:write", "owner", "deployer"),
    "GET /sites/<slug>/promotions/<int:number>": _read(),
    "POST /sites/<slug>/promotions/<int:number>/cancel": _write(
        "promotions:write", "owner", "deployer"
    ),
    "POST /sites/<slug>/rollback": _write("promotions:rollback", "owner", "deployer"),
    "GET /sites/<slug>/backups": _read(),
    "GET /sites/<slug>/drift": _read(),
    "GET /sites/<slug>/backups/<backup_id>": Rule(
        answers=readers(404), body=None, token_scopes=("sites:read",)
    ),
}

JOBS: dict[str, Rule] = {
    "GET /jobs": Rule(answers=known(200), body=None, token_scopes=("jobs:read",)),
    "GET /jobs/<id>": Rule(answers=known(404), body=None, token_scopes=("jobs:read",)),
    "POST /jobs/<id>/cancel": Rule(answers=known(404), body={}, token_scopes=("jobs:read",)),
}

OVERSEERS = ("admin", "maintainer", "auditor")
JUDGES = ("admin", "maintainer", "owner", "reviewer")
RUNNERS = ("admin", "maintainer", "owner", "deployer", "token")
WRITERS = ("admin", "maintainer", "token", *SITE_ROLES)
READ, FILE = ("requests:read",), ("requests:read", "requests:write")
REVIEW, RUN = ("requests:read", "requests:review"), ("requests:execute", "requests:write")
OVERRIDE, POLICY = ("requests:read", "requests:override"), ("requests:read", "environments:write")


def concerned(status: int = 200) -> dict[str, int]:
    """Whoever may see the requests of the site; `root` filed this one, and the token is root's."""
    seen = only(status, *OVERSEERS, *SITE_ROLES, others=404, elsewhere=404)
    return seen | {"token without the scope": 403}


def _shown(status: int = 200, **path: str) -> Rule:
    return Rule(answers=concerned(status), body=None, token_scopes=READ, path=path)


def _done(status: int, *callers: str, scopes: tuple[str, ...], **changes: int) -> Rule:
    """Seen by all who are concerned, done by some of them."""
    may_not = dict.fromkeys([*OVERSEERS, *SITE_ROLES, "token"], 403)
    return Rule(
        answers=concerned() | may_not | dict.fromkeys(callers, status) | changes,
        token_scopes=scopes,
    )


def _everybody(status: int, scopes: tuple[str, ...], body: object = PROBE) -> Rule:
    answers = known(status) | {"token without the scope": 403}
    return Rule(answers=answers, body=body, token_scopes=scopes)


def _reviewers(status: int, *callers: str, **elsewhere: int) -> Rule:
    """Tags are shared by all sites: made by reviewers of any, changed by those of all."""
    return Rule(answers=only(status, *callers, **elsewhere), token_scopes=REVIEW)


_ONE = "/requests/<int:number>"
REQUESTS: dict[str, Rule] = {
    "GET /requests": _everybody(200, READ, None),
    "POST /requests": _everybody(422, FILE),
    "GET /requests/inbox": _everybody(200, READ, None),
    "GET /requests/stats": _everybody(200, READ, None),
    f"GET {_ONE}": _shown(),
    f"PATCH {_ONE}": _done(422, "token", scopes=FILE),
    f"POST {_ONE}/submit": _done(422, "token", scopes=FILE),
    f"POST {_ONE}/answer": _done(422, "token", scopes=FILE),
    f"POST {_ONE}/revise": _done(422, "token", scopes=FILE),
    f"POST {_ONE}/approve": _done(422, *JUDGES, scopes=REVIEW),
    f"POST {_ONE}/reject": _done(422, *JUDGES, scopes=REVIEW),
    f"POST {_ONE}/request-info": _done(422, *JUDGES, scopes=REVIEW),
    f"POST {_ONE}/withdraw": _done(409, *JUDGES, scopes=REVIEW),
    f"POST {_ONE}/override": _done(422, "admin", "maintainer", scopes=OVERRIDE, member=403),
    f"POST {_ONE}/resolve": _done(422, *JUDGES, scopes=(*FILE, *REVIEW)),
    f"POST {_ONE}/execute": _done(422, *RUNNERS, scopes=RUN),
    f"POST {_ONE}/retry": _done(422, *RUNNERS, scopes=RUN),
    f"POST {_ONE}/cancel": _done(422, "admin", "token", scopes=FILE),
    f"GET {_ONE}/comments": _shown(),
    f"POST {_ONE}/comments": _done(422, *WRITERS, scopes=FILE),
    f"GET {_ONE}/comments/<comment_id>": _shown(404),
    f"PATCH {_ONE}/comments/<comment_id>": _done(404, *WRITERS, scopes=FILE),
    f"GET {_ONE}/timeline": _shown(),
    f"GET {_ONE}/reviews": _shown(),
    f"POST {_ONE}/reviews": _done(422, *JUDGES, scopes=REVIEW),
    f"PUT {_ONE}/tags": _done(422, *WRITERS, scopes=FILE),
    f"PUT {_ONE}/assignees": _done(422, *JUDGES, "token", scopes=FILE),
    "GET /tags": _everybody(200, READ, None),
    "POST /tags": _reviewers(422, *JUDGES, elsewhere=422),
    "GET /tags/<path:name>": _everybody(404, READ, None),
    "PATCH /tags/<path:name>": _reviewers(404, "admin", "maintainer"),
    "DELETE /tags/<path:name>": _reviewers(404, "admin", "maintainer"),
    "GET /approval-policies": _everybody(200, READ, None),
    "POST /approval-policies": _everybody(422, POLICY),
    "GET /approval-policies/<id>": _everybody(404, READ, None),
    "PATCH /approval-policies/<id>": _everybody(404, POLICY),
    "DELETE /approval-policies/<id>": _everybody(404, POLICY),
}

# To a webhook the right is that of its site: tests/api/test_webhooks.py.
HOOKS = ("webhooks:write",)
WEBHOOKS: dict[str, Rule] = {
    "GET /webhooks": _everybody(200, HOOKS, None),
    "POST /webhooks": _everybody(422, HOOKS),
    "GET /webhooks/<id>": _everybody(404, HOOKS, None),
    "PATCH /webhooks/<id>": _everybody(404, HOOKS),
    "DELETE /webhooks/<id>": _everybody(404, HOOKS, None),
    "POST /webhooks/<id>/rotate": _everybody(404, HOOKS),
    "POST /webhooks/<id>/test": _everybody(404, HOOKS),
    "POST /webhooks/<id>/redeliver": _everybody(404, HOOKS),
    "GET /webhooks/<id>/deliveries": _everybody(404, HOOKS, None),
    "GET /webhooks/<id>/deliveries/<delivery>": _everybody(404, HOOKS, None),
}

SERVER: dict[str, Rule] = {
    "POST /events/ticket": Rule(answers=known(200), body={}),
    "GET /ws": Rule(answers=everybody(426), body=None),
    "GET /events": Rule(answers=known(200), body=None, query="timeout_seconds=0"),
    "GET /limits": Rule(answers=known(200), body=None),
    "GET /version": Rule(answers=known(200), body=None),
}

TABLE: dict[str, Rule] = {
    **AUTH,
    **PEOPLE,
    **SITES,
    **JOBS,
    **SERVER,
    **REQUESTS,
    **WEBHOOKS,
}


def body_of(rule: Rule) -> object:
    """Return the body to send; some must be new for every call."""
    return rule.body() if callable(rule.body) else rule.body
