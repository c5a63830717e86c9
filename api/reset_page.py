"""The page behind invitations and reset links: a form that sets a password.

The secret stands behind the `#` of the address, so it reaches this server only in the body of
the call that uses it.
"""

from flask import Blueprint, Flask, Response, render_template

from api.headers import script_nonce
from api.routing import API_PREFIX
from services.invitations import LINK_PATH
from services.passwords import MAX_LENGTH, MIN_LENGTH

POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "connect-src 'self'; img-src data:; script-src 'nonce-{nonce}'; style-src 'self'"
)


def register(app: Flask) -> None:
    """Mount the page."""
    pages = Blueprint("people", __name__, template_folder="templates")
    pages.add_url_rule(LINK_PATH, view_func=_page, endpoint="reset")
    app.register_blueprint(pages)


def _page() -> Response:
    nonce = script_nonce()
    text = render_template(
        "people/reset.html",
        nonce=nonce,
        action=f"{API_PREFIX}/auth/reset",
        shortest=MIN_LENGTH,
        longest=MAX_LENGTH,
    )
    response = Response(text, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY.format(nonce=nonce)
    response.headers["Cache-Control"] = "no-store"
    return response
