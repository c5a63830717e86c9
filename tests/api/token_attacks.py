"""Forged, altered and misused credentials: each must be refused with 401 and nothing else."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.ids import new_api_token
from tests.people import KEY

SECRET = KEY[::-1]
KID = "k1"
Claims = dict[str, Any]  # Any: claims of every type, wrong ones included
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def claims_of(token: str) -> Claims:
    found: Claims = pyjwt.decode(token, options={"verify_signature": False})
    return found


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(header: dict[str, Any], payload: object, secret: str = SECRET) -> str:
    """Sign by hand, so that nothing stands in the way of a bad token."""
    body = f"{segment(header)}.{segment(payload)}"
    digest = hashlib.sha512 if header.get("alg") == "HS512" else hashlib.sha256
    return f"{body}.{segment(hmac.new(secret.encode(), body.encode(), digest).digest())}"


def signed(claims: Claims, **header: object) -> str:
    return sign({"alg": "HS256", "typ": "JWT", "kid": KID, **header}, claims)


def forgeries(token: str) -> dict[str, str]:
    """Return attacks by name, all made from one valid access token."""
    claims, (head, body, signature) = claims_of(token), token.split(".")
    now = int(time.time())
    public = _public_keys()
    attacks = {
        "alg none": f"{segment({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "alg None": f"{segment({'alg': 'None', 'typ': 'JWT', 'kid': KID})}.{body}.",
        "alg nOnE": f"{segment({'alg': 'nOnE', 'typ': 'JWT', 'kid': KID})}.{body}.{signature}",
        "alg missing": sign({"typ": "JWT", "kid": KID}, claims),
        "empty signature": f"{head}.{body}.",
        "no signature": f"{head}.{body}",
        "four parts": f"{token}.{signature}",
        "five parts, as if encrypted": f"{token}.{body}.{signature}",
        "other algorithm, right key": signed(claims, alg="HS512"),
        "HS256 with an RSA public key": sign(_header(), claims, public["rsa"]),
        "HS256 with an EC public key": sign(_header(), claims, public["ec"]),
        "RS256 by a stranger": _by_stranger(claims),
        "wrong key": sign(_header(), claims, "x" * 32),
        "empty key": sign(_header(), claims, ""),
        "the name of the key as key": sign(_header(), claims, KID),
        "kid unknown": signed(claims, kid="k9"),
        "kid missing": sign({"alg": "HS256", "typ": "JWT"}, claims),
        "kid empty": signed(claims, kid=""),
        "kid a path": signed(claims, kid="../../../../dev/null"),
        "kid SQL": signed(claims, kid="k1' UNION SELECT 'x' --"),
        "kid an address": signed(claims, kid="http://127.0.0.1:1/key"),
        "kid a number": signed(claims, kid=1),
        "kid a list": signed(claims, kid=[KID]),
        "jwk embedded": sign(_header() | _own_key(), claims, "attacker" * 4),
        "jku": sign(_header() | {"jku": "http://127.0.0.1:1/jwks.json", "kid": "x"}, claims),
        "x5u": sign(_header() | {"x5u": "http://127.0.0.1:1/x.pem", "kid": "x"}, claims),
        "critical header": signed(claims, crit=["unknown"], unknown=True),
        "expired": signed(claims | {"exp": now - 1}),
        "long expired": signed(claims | {"exp": 1}),
        "not yet valid": signed(claims | {"nbf": now + 3600}),
        "issued in the future": signed(claims | {"iat": now + 3600}),
        "endless": signed(claims | {"exp": 10**400}),
        "expiry as text": signed(claims | {"exp": "tomorrow"}),
        "expiry as a list": signed(claims | {"exp": [now + 100]}),
        "expiry true": signed(claims | {"exp": True}),
        "expiry negative": signed(claims | {"exp": -1}),
        "another audience": signed(claims | {"aud": "another-api"}),
        "audience as a list": signed(claims | {"aud": [claims["aud"], "another"]}),
        "another issuer": signed(claims | {"iss": "somebody"}),
        "another type": signed(claims | {"typ": "refresh"}),
        "another user": signed(claims | {"sub": "999999"}),
        "user as a number": signed(claims | {"sub": int(claims["sub"])}),
        "user as text": signed(claims | {"sub": "root"}),
        "user SQL": signed(claims | {"sub": "1 OR 1=1"}),
        "user too large": signed(claims | {"sub": str(2**70)}),
        "user negative": signed(claims | {"sub": "-1"}),
        "session unknown": signed(claims | {"sid": "0" * 22}),
        "session SQL": signed(claims | {"sid": "' OR '1'='1"}),
        "session as a list": signed(claims | {"sid": [claims["sid"]]}),
        "session null": signed(claims | {"sid": None}),
        "an older generation": signed(claims | {"ver": claims["ver"] - 1}),
        "a newer generation": signed(claims | {"ver": claims["ver"] + 1}),
        "generation as text": signed(claims | {"ver": str(claims["ver"])}),
        "payload a list": signed([claims]),  # type: ignore[arg-type]
        "payload a text": signed("claims"),  # type: ignore[arg-type]
        "payload no JSON": f"{head}.{segment(b'not json')}.{signature}",
        "payload deep": f"{head}.{segment(b'[' * 1500 + b']' * 1500)}.{signature}",
        "header no JSON": f"{segment(b'not json')}.{body}.{signature}",
        "header a list": f"{segment(['HS256'])}.{body}.{signature}",
        "padded": f"{head}.{body}.{signature}=",
        "a space inside": f"{head}. {body}.{signature}",
        "standard base64": f"{head}.{body}+/.{signature}",
        "ten thousand claims": signed(claims | {f"c{n}": n for n in range(300)}),
        "an unknown API token": new_api_token(),
        "an API token with a wrong checksum": new_api_token()[:-1] + "!",
        "an API token cut short": new_api_token()[:-6],
        "nothing but dots": "..",
        "a word": "token",
        "percent": "%00%ff",
    }
    for claim in ("exp", "iat", "nbf", "jti", "sub", "sid", "iss", "aud", "typ", "ver"):
        attacks[f"without {claim}"] = signed({k: v for k, v in claims.items() if k != claim})
    return attacks


def flips(token: str) -> Iterator[tuple[int, str]]:
    """Yield the token with another character at each position, the idle bits at the end too."""
    for position, character in enumerate(token):
        alphabet = BASE64URL if character in BASE64URL else BASE64URL[:1]
        index = alphabet.index(character) if character in alphabet else -1
        for step in (1, 2, 32) if position >= len(token) - 1 else (1,):
            yield position, _replaced(token, position, alphabet[(index + step) % len(alphabet)])


def bit_flips(token: str) -> Iterator[tuple[int, str]]:
    """Yield the token with the lowest bit of each byte turned over, where a header can carry it."""
    for position, character in enumerate(token):
        turned = chr(ord(character) ^ 1)
        if turned.isprintable() and turned != " ":
            yield position, _replaced(token, position, turned)


def _replaced(token: str, position: int, character: str) -> str:
    return token[:position] + character + token[position + 1 :]


def _header() -> dict[str, Any]:
    return {"alg": "HS256", "typ": "JWT", "kid": KID}


def _own_key() -> dict[str, Any]:
    return {"kid": "own", "jwk": {"kty": "oct", "k": segment(b"attacker" * 4)}}


def _public_keys() -> dict[str, str]:
    keys: dict[str, rsa.RSAPublicKey | ec.EllipticCurvePublicKey] = {
        "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(),
        "ec": ec.generate_private_key(ec.SECP256R1()).public_key(),
    }
    form = PublicFormat.SubjectPublicKeyInfo
    return {name: key.public_bytes(Encoding.PEM, form).decode() for name, key in keys.items()}


def _by_stranger(claims: Claims) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return pyjwt.encode(claims, key, algorithm="RS256", headers={"kid": KID})
