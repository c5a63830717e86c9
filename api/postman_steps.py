"""The run of the Postman collection: every operation at least once, in an order that works.

Values in double braces are variables of the collection; `keep` fills them from answers.
"""

import io
import tarfile

from api.postman_parts import (
    ADMIN,
    CI,
    NEW_PASSWORD,
    PASSWORD,
    PERSON,
    Chapter,
    Step,
    sign_in_person,
)
from api.postman_requests import REQUESTS

ENVIRONMENT = "staging"


PATH_VALUES = {"slug": "{{site}}", "username": "{{person}}"}

NEW_NAMES = (
    "const run = Date.now().toString(36);",
    "for (const kind of ['person', 'guest', 'site', 'role']) {",
    "  pm.collectionVariables.set(kind, `pm-${kind}-${run}`);",
    "}",
)
ONE_TIME_CODE = (
    "const { enc, HmacSHA1 } = require('crypto-js');",
    "const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';",
    "const bits = [...pm.collectionVariables.get('totp_secret').replace(/=+$/, '')]",
    "  .map((letter) => letters.indexOf(letter).toString(2).padStart(5, '0')).join('');",
    "let key = '';",
    "for (let at = 0; at + 8 <= bits.length; at += 8) {",
    "  key += parseInt(bits.substr(at, 8), 2).toString(16).padStart(2, '0');",
    "}",
    "const step = Math.floor(Date.now() / 30000).toString(16).padStart(16, '0');",
    "const mac = HmacSHA1(enc.Hex.parse(step), enc.Hex.parse(key)).toString();",
    "const part = mac.substr(parseInt(mac.slice(-1), 16) * 2, 8);",
    "const code = (parseInt(part, 16) & 0x7fffffff) % 1000000;",
    "pm.collectionVariables.set('otp', String(code).padStart(6, '0'));",
)


_SIGN_IN = Chapter(
    "Sign in",
    (
        Step(
            operation="post_auth_login",
            body={"username": "{{username}}", "password": "{{password}}"},
            keep={ADMIN: "answer.access_token"},
            before=NEW_NAMES,
            credential=None,
        ),
        Step(operation="get_auth_whoami"),
        Step(operation="get_version"),
        Step(operation="get_limits"),
    ),
)

_PEOPLE = Chapter(
    "People and roles",
    (
        Step(
            operation="post_users",
            body={
                "username": "{{person}}",
                "email": "{{person}}@example.org",
                "password": PASSWORD,
            },
        ),
        Step(operation="list_users", query={"q": "{{person}}"}),
        Step(operation="get_users_by_username"),
        Step(operation="patch_users_by_username", body={"role": "auditor"}),
        Step(operation="put_users_contact", body={"full_name": "Ana Müller", "city": "Graz"}),
        Step(operation="get_users_contact"),
        Step(operation="delete_users_contact"),
        Step(
            operation="post_users",
            name="Invite a user",
            body={"username": "{{guest}}", "email": "{{guest}}@example.org"},
            keep={"invitation": "answer.invitation_url.split(/[#?=/]/).pop()"},
        ),
        Step(
            operation="post_auth_reset",
            body={"token": "{{invitation}}", "new_password": NEW_PASSWORD},
            credential=None,
        ),
        Step(operation="list_permissions"),
        Step(
            operation="post_roles",
            body={"name": "{{role}}", "kind": "site", "inherits": ["reader"]},
        ),
        Step(operation="list_roles"),
        Step(operation="get_roles_by_name", path={"name": "{{role}}"}),
        Step(
            operation="patch_roles_by_name",
            path={"name": "{{role}}"},
            body={"permissions": ["sites:read", "releases:write"]},
        ),
    ),
)

_SITES = Chapter(
    "Sites",
    (
        Step(operation="post_sites", body={"slug": "{{site}}", "name": "Our web site"}),
        Step(operation="list_sites", query={"q": "{{site}}"}),
        Step(operation="get_sites_by_slug"),
        Step(operation="patch_sites_by_slug", body={"name": "Our new web site"}),
        Step(operation="put_sites_members_by_username", body={"role": "deployer"}),
        Step(operation="get_sites_members_by_username"),
        Step(operation="list_sites_members"),
        Step(operation="post_sites_environments", body={"name": ENVIRONMENT, "rank": 15}),
        Step(operation="list_sites_environments"),
        Step(operation="get_sites_environments_by_name", path={"name": ENVIRONMENT}),
        Step(
            operation="patch_sites_environments_by_name",
            path={"name": ENVIRONMENT},
            body={"policy": {"auto": False}},
        ),
        Step(
            operation="put_sites_environments_lock",
            path={"name": ENVIRONMENT},
            body={"reason": "Trade fair until Friday"},
        ),
        Step(operation="delete_sites_environments_lock", path={"name": ENVIRONMENT}),
    ),
)

_TOKENS = Chapter(
    "Tokens for CI",
    (
        Step(
            operation="post_tokens",
            body={"name": "CI of {{site}}", "preset": "deploy", "sites": ["{{site}}"]},
            keep={CI: "answer.token"},
        ),
        Step(operation="list_tokens"),
        Step(operation="get_tokens_self", credential=CI),
        Step(
            operation="post_tokens_self_rotate",
            body={"overlap_minutes": 0},
            credential=CI,
            keep={CI: "answer.token", "token_id": "answer.id"},
        ),
        Step(operation="get_tokens_by_id", path={"id": "{{token_id}}"}),
        Step(
            operation="post_tokens_rotate",
            path={"id": "{{token_id}}"},
            body={"overlap_minutes": 0},
            keep={CI: "answer.token", "token_id": "answer.id"},
        ),
    ),
)

_RELEASE = {"number": "{{release}}"}
_RELEASES = Chapter(
    "Release and promote",
    (
        Step(
            operation="post_sites_releases",
            name="Upload the first release",
            archive="first",
            query={"message": "first"},
            credential=CI,
            keep={"release": "answer.number"},
        ),
        Step(operation="list_sites_releases", credential=CI),
        Step(operation="get_sites_releases_by_number", path=_RELEASE),
        Step(operation="get_sites_releases_manifest", path=_RELEASE),
        Step(operation="get_sites_releases_files_by_path", path={**_RELEASE, "path": "index.html"}),
        Step(operation="get_sites_releases_archive_tar_gz", path=_RELEASE),
        Step(operation="patch_sites_releases_by_number", path=_RELEASE, body={"pinned": True}),
        Step(operation="get_sites_plan", query={"from": "test", "to": "main"}),
        Step(
            operation="post_sites_promotions",
            name="Try a promotion without making it",
            body={"from": "test", "to": "main", "dry_run": True},
            credential=CI,
        ),
        Step(
            operation="post_sites_promotions",
            name="Promote the first release",
            body={"from": "test", "to": "main"},
            credential=CI,
            keep={"promotion": "answer.number"},
        ),
        Step(operation="get_sites_promotions_by_number", path={"number": "{{promotion}}"}),
        Step(operation="list_sites_promotions"),
        Step(
            operation="post_sites_releases",
            name="Upload the second release",
            archive="second",
            credential=CI,
        ),
        Step(
            operation="post_sites_promotions",
            name="Promote the second release",
            body={"from": "test", "to": "main"},
            credential=CI,
        ),
        Step(operation="post_sites_rollback", body={"reason": "Broken menu"}, credential=CI),
        Step(operation="delete_sites_environments_hold", path={"name": "main"}),
        Step(operation="list_sites_backups", keep={"backup": "answer.items[0].id"}),
        Step(operation="get_sites_backups_by_backup_id", path={"backup_id": "{{backup}}"}),
        Step(operation="get_sites_drift", query={"environment": "main"}),
        Step(
            operation="post_sites_releases",
            name="Upload a release to no environment",
            archive="third",
            query={"to": "none"},
            credential=CI,
            keep={"unused": "answer.number"},
        ),
        Step(operation="delete_sites_releases_by_number", path={"number": "{{unused}}"}),
        Step(operation="post_sites_prune", body={"keep": 10, "dry_run": True}),
    ),
)

_OWN = Chapter(
    "One's own account",
    (
        sign_in_person("Sign in as the new user"),
        sign_in_person("Sign in a second time"),
        Step(
            operation="list_auth_sessions",
            credential=PERSON,
            keep={"session": "answer.items.find((session) => !session.current).id"},
        ),
        Step(operation="delete_auth_sessions_by_id", path={"id": "{{session}}"}, credential=PERSON),
        Step(operation="post_auth_totp", credential=PERSON, keep={"totp_secret": "answer.secret"}),
        Step(
            operation="post_auth_totp_confirm",
            credential=PERSON,
            body={"otp": "{{otp}}"},
            before=ONE_TIME_CODE,
        ),
        Step(operation="delete_auth_totp", credential=PERSON, body={"password": PASSWORD}),
        Step(
            operation="put_auth_password",
            credential=PERSON,
            body={"current_password": PASSWORD, "new_password": NEW_PASSWORD},
        ),
        Step(
            operation="post_auth_refresh",
            body={"refresh_token": "{{person_refresh}}"},
            credential=None,
            keep={PERSON: "answer.access_token", "person_refresh": "answer.refresh_token"},
        ),
        Step(operation="post_auth_logout", credential=PERSON),
        sign_in_person("Sign in with the new password", NEW_PASSWORD),
        Step(operation="post_auth_logout_all", credential=PERSON),
    ),
)

_JOBS = Chapter(
    "Long work",
    (
        Step(operation="list_jobs", query={"per_page": "5"}),
        Step(operation="get_jobs_by_id", path={"id": "none"}, expect=(404,)),
        Step(operation="post_jobs_cancel", path={"id": "none"}, body={}, expect=(404,)),
    ),
)

_HOOK = {"id": "{{webhook}}"}
_NOBODY = "https://hooks.example/relevo"  # .example never leads anywhere

_WEBHOOKS = Chapter(
    "Webhooks",
    (
        Step(
            operation="post_webhooks",
            body={"site": "{{site}}", "url": _NOBODY, "topics": ["promotion.*"]},
            keep={"webhook": "answer.id"},
        ),
        Step(operation="list_webhooks", query={"site": "{{site}}"}),
        Step(operation="get_webhooks_by_id", path=_HOOK),
        Step(operation="patch_webhooks_by_id", path=_HOOK, body={"description": "Chat"}),
        Step(operation="post_webhooks_rotate", path=_HOOK, body={"overlap_minutes": 60}),
        Step(operation="post_webhooks_test", path=_HOOK, keep={"delivery": "answer.id"}),
        Step(operation="list_webhooks_deliveries", path=_HOOK),
        Step(
            operation="get_webhooks_deliveries_by_delivery",
            path={**_HOOK, "delivery": "{{delivery}}"},
        ),
        Step(operation="post_webhooks_redeliver", path=_HOOK, body={"delivery": "{{delivery}}"}),
        Step(operation="delete_webhooks_by_id", path=_HOOK),
    ),
)

_CLEAN_UP = Chapter(
    "Records and cleaning up",
    (
        Step(operation="list_audit", query={"per_page": "5"}),
        Step(
            operation="get_events",
            name="What has happened to the site, without waiting for more",
            query={"timeout_seconds": "0", "last_event_id": "0", "topics": "promotion.*"},
        ),
        Step(operation="post_events_ticket"),
        Step(
            operation="get_ws",
            name="A socket, which Postman opens in another kind of request",
            credential=None,
            expect=(426,),
        ),
        Step(operation="get_audit_verify"),
        Step(operation="delete_tokens_by_id", path={"id": "{{token_id}}"}),
        Step(operation="delete_sites_members_by_username"),
        Step(operation="delete_sites_environments_by_name", path={"name": ENVIRONMENT}),
        Step(operation="delete_sites_by_slug", query={"confirm": "{{site}}"}),
        Step(operation="delete_roles_by_name", path={"name": "{{role}}"}),
        Step(operation="delete_users_by_username"),
        Step(operation="post_users_erase"),
        Step(operation="post_users_erase", name="Erase the guest", path={"username": "{{guest}}"}),
    ),
)

CHAPTERS: tuple[Chapter, ...] = (
    _SIGN_IN,
    _PEOPLE,
    _SITES,
    _TOKENS,
    _RELEASES,
    REQUESTS,
    _OWN,
    _JOBS,
    _WEBHOOKS,
    _CLEAN_UP,
)


def small_site(text: str) -> str:
    """Return a tar archive of one page as text: a collection can hold no other kind of file."""
    page = f"<!doctype html><title>{text}</title><p>{text}</p>\n".encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        entry = tarfile.TarInfo("index.html")
        entry.size = len(page)
        archive.addfile(entry, io.BytesIO(page))
    return buffer.getvalue().decode("ascii")
