"""Idempotency-Key on POST: fingerprint the call, replay the answer of the first one.

The fingerprint covers the query without `wait` and the body: JSON with sorted names, uploads by
the digest of their content, taken while the service reads them. A repeated upload is therefore
read once more, but neither stored nor unpacked again.
"""

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress

from flask import Response, request
from werkzeug.wrappers import Response as WerkzeugResponse

from api.security import actor_key
from api.uploads import UploadBody
from core.errors import InvalidInputError
from services import idempotency
from services.actors import Actor
from services.idempotency import CallKey, Claim, StoredAnswer

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
NOT_PART = frozenset({"wait"})
KEPT_HEADERS = ("Content-Type", "Location", "ETag", "Link")
# A structured-field string (the draft's form) or the bare word that most clients send.
_KEY = re.compile(r'"(?P<quoted>[!#-\[\]-~]{1,255})"|(?P<bare>[!#-~]{1,255})')


def key_of_request() -> str | None:
    """Return the Idempotency-Key, or None when there is none.

    Raises:
        InvalidInputError: it is empty, too long or not printable ASCII.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return None
    match = _KEY.fullmatch(given.strip())
    if match is None:
        raise InvalidInputError.field(HEADER, "Use 1 to 255 printable ASCII characters.")
    return match["quoted"] or match["bare"]


def once(
    key: str, actor: Actor, body: object, work: Callable[[], WerkzeugResponse]
) -> WerkzeugResponse:
    """Do `work` unless a call with this key did; only its 2xx answers are kept."""
    upload = body if isinstance(body, UploadBody) else None
    call = CallKey(actor_key=actor_key(actor), method=request.method, path=_path(), key=key)
    fingerprint = None if upload else _fingerprint(body)
    claimed = idempotency.claim(call=call, fingerprint=fingerprint)
    if isinstance(claimed, StoredAnswer):
        return _replay(claimed, upload)
    try:
        response = work()
    except BaseException:
        with suppress(Exception):
            idempotency.abandon(claim=claimed)
        raise
    _keep(claimed, response, fingerprint, upload)
    return response


def _keep(
    claimed: Claim, response: WerkzeugResponse, fingerprint: str | None, upload: UploadBody | None
) -> None:
    if not 200 <= response.status_code < 300 or response.is_streamed:
        idempotency.abandon(claim=claimed)
        return
    idempotency.complete(
        claim=claimed,
        fingerprint=fingerprint or _fingerprint(upload),
        status=response.status_code,
        headers={name: response.headers[name] for name in KEPT_HEADERS if name in response.headers},
        body=response.get_data(),
    )


def _replay(stored: StoredAnswer, upload: UploadBody | None) -> Response:
    if upload is not None and _fingerprint(upload) != stored.fingerprint:
        raise idempotency.mismatch()
    response = Response(stored.body, status=stored.status)
    response.headers.pop("Content-Type", None)
    response.headers.update(stored.headers)
    response.headers[REPLAYED_HEADER] = "true"
    return response


def _fingerprint(body: object) -> str:
    query = sorted(
        (name, value) for name, value in request.args.items(multi=True) if name not in NOT_PART
    )
    if isinstance(body, UploadBody):
        content: object = {"sha256": body.content_digest()}
    else:
        content = body
    canonical = json.dumps([query, content], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _path() -> str:
    """Return the path as it is kept: the column holds 255 characters, so longer ones by digest."""
    path = request.path
    return path if len(path) <= 255 else hashlib.sha256(path.encode()).hexdigest()
