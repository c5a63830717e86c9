import pyotp
import time_machine

from tests.people import OTHER_PASSWORD, PASSWORD, People

LOGIN = {"username": "ana", "password": PASSWORD}


def test_login_answers_a_pair_of_tokens_and_the_user(people: People) -> None:
    people.user("ana")

    answer = people.nobody.post("/auth/login", LOGIN)

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in", "user"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 900)
    assert set(body["user"]) == {
        "username",
        "email",
        "role",
        "is_active",
        "totp_enabled",
        "created_at",
        "last_login_at",
    }
    assert body["user"]["last_login_at"] is not None


def test_every_refused_login_is_the_same_to_the_byte(people: People) -> None:
    people.user("ana")
    people.user("off", is_active=False)
    attempts = [("ana", "wrong"), ("nobody", "wrong"), ("off", PASSWORD)]

    answers = [
        people.nobody.post(
            "/auth/login", {"username": name, "password": password}, X_Request_ID="12345678"
        )
        for name, password in attempts
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1
    names = [sorted(answer.headers.keys()) for answer in answers]
    assert names == [names[0]] * 3
    assert answers[0].json["code"] == "invalid_credentials"


def test_a_login_throttled_says_when_to_come_back(people: People) -> None:
    people.user("ana")
    with time_machine.travel("2026-03-01T12:00:00Z", tick=False):
        for _ in range(8):
            people.nobody.post("/auth/login", LOGIN | {"password": "wrong"})

        answer = people.nobody.post("/auth/login", LOGIN)

    assert (answer.status_code, answer.json["code"]) == (429, "login_throttled")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_password_over_the_limit_is_refused_before_it_is_hashed(people: People) -> None:
    answer = people.nobody.post("/auth/login", LOGIN | {"password": "x" * 257})

    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"] == "/password"
    assert "xxx" not in answer.text


def test_whoami_says_what_the_credential_is_and_may_do(people: People) -> None:
    people.user("ana")
    people.site("web", ana="deployer")
    people.site("shop", ana="reader")

    by_session = people.caller("ana").get("/auth/whoami").json
    by_token = people.token_caller("ana", scopes=["releases:write"], sites=["web"])

    assert (by_session["kind"], by_session["user"], by_session["role"]) == (
        "session",
        "ana",
        "member",
    )
    assert by_session["sites"] == ["shop", "web"]
    assert "promotions:write" in by_session["scopes"]
    token = by_token.get("/auth/whoami").json
    assert (token["kind"], token["scopes"], token["sites"]) == (
        "token",
        ["releases:write"],
        ["web"],
    )
    assert people.caller("root").get("/auth/whoami").json["sites"] is None


def test_refresh_and_logout(people: People) -> None:
    people.user("ana")
    pair = people.nobody.post("/auth/login", LOGIN).json

    fresh = people.nobody.post("/auth/refresh", {"refresh_token": pair["refresh_token"]})
    again = people.nobody.post("/auth/refresh", {"refresh_token": pair["refresh_token"]})
    out = people.nobody.post("/auth/logout", {"refresh_token": fresh.json["refresh_token"]})
    after = people.nobody.get("/auth/whoami", Authorization=f"Bearer {fresh.json['access_token']}")

    assert fresh.status_code == 200
    assert (again.status_code, again.json["code"]) == (409, "refresh_conflict")
    assert (out.status_code, out.data) == (204, b"")
    assert (after.status_code, after.json["code"]) == (401, "token_revoked")


def test_logout_works_with_an_expired_access_token(people: People) -> None:
    people.user("ana")
    with time_machine.travel("2026-03-01T12:00:00Z", tick=False) as clock:
        pair = people.nobody.post("/auth/login", LOGIN).json
        clock.shift(3600)
        expired = {"Authorization": f"Bearer {pair['access_token']}"}

        answer = people.nobody.post(
            "/auth/logout-all", {"refresh_token": pair["refresh_token"]}, **expired
        )

    assert answer.status_code == 204


def test_logout_needs_some_credential(people: People) -> None:
    answer = people.nobody.post("/auth/logout")

    assert (answer.status_code, answer.json["code"]) == (401, "token_missing")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_sessions_are_listed_and_ended(people: People) -> None:
    people.user("ana")
    here, there = people.caller("ana"), people.caller("ana")

    listed = here.get("/auth/sessions").json["items"]
    other = next(session for session in listed if not session["current"])
    ended = here.delete(f"/auth/sessions/{other['id']}")

    assert [session["current"] for session in listed].count(True) == 1
    assert set(other) == {
        "id",
        "created_at",
        "last_seen_at",
        "address",
        "user_agent",
        "current",
    }
    assert ended.status_code == 204
    assert there.get("/auth/whoami").status_code == 401
    assert here.get("/auth/whoami").status_code == 200


def test_the_own_password_is_changed(people: People) -> None:
    people.user("ana")
    caller = people.caller("ana")
    change = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}

    answer = caller.put("/auth/password", change)

    assert answer.status_code == 204
    assert people.nobody.post("/auth/login", LOGIN).status_code == 401
    new_login = LOGIN | {"password": OTHER_PASSWORD}
    assert people.nobody.post("/auth/login", new_login).status_code == 200


def test_a_second_factor_from_beginning_to_end(people: People) -> None:
    people.user("ana")
    caller = people.caller("ana")
    begun = caller.post("/auth/totp").json
    with time_machine.travel("2026-03-01T12:00:00Z", tick=False) as clock:
        code = pyotp.TOTP(begun["secret"]).now()
        caller = people.caller("ana")
        confirmed = caller.post("/auth/totp/confirm", {"otp": code})
        clock.shift(60)
        without = people.nobody.post("/auth/login", LOGIN)
        code = pyotp.TOTP(begun["secret"]).now()
        with_code = people.nobody.post("/auth/login", LOGIN | {"otp": code})
        replayed = people.nobody.post("/auth/login", LOGIN | {"otp": code})
        kept = caller.delete("/auth/totp")
        removed = caller.call("DELETE", "/auth/totp", {"password": PASSWORD})

    assert begun["otpauth_uri"].startswith("otpauth://totp/Relevo:ana?secret=")
    assert len(confirmed.json["recovery_codes"]) == 10
    assert (without.status_code, without.json["code"]) == (401, "otp_required")
    assert with_code.status_code == 200
    assert with_code.json["user"]["totp_enabled"] is True
    assert (replayed.status_code, replayed.json["code"]) == (401, "invalid_credentials")
    assert kept.status_code == 422
    assert removed.status_code == 204


def test_an_invitation_sets_the_first_password(people: People) -> None:
    admin = people.caller("root")
    invited = admin.post("/users", {"username": "ana", "email": "ana@example.org"}).json
    token = invited["invitation_url"].partition("#token=")[2]
    body = {"token": token, "new_password": PASSWORD}

    first = people.nobody.post("/auth/reset", body)
    second = people.nobody.post("/auth/reset", body)

    assert first.status_code == 204
    assert people.nobody.post("/auth/login", LOGIN).status_code == 200
    assert (second.status_code, second.json["code"]) == (401, "token_invalid")


def test_a_role_can_demand_a_second_factor(people: People) -> None:
    admin = people.caller("root")
    body = {"name": "careful", "kind": "global", "permissions": ["users:read"]}
    admin.post("/roles", body | {"requires_totp": True})
    caller = people.caller("ana", "careful")
    before = caller.get("/users")
    secret = caller.post("/auth/totp").json["secret"]

    caller.post("/auth/totp/confirm", {"otp": pyotp.TOTP(secret).now()})

    assert before.status_code == 403
    assert "second factor" in before.headers["Warning"]
    assert caller.get("/users").status_code == 200
