"""Objects shared by the whole process and bound to the application in `app.py`."""

from flask import current_app
from flask_cors import CORS
from flask_jwt_extended import JWTManager

from storage.store import SiteStore

jwt = JWTManager()
cors = CORS()


def site_store() -> SiteStore:
    """Return the store of the running application's sites."""
    store = current_app.extensions["relevo.store"]
    if not isinstance(store, SiteStore):
        raise TypeError("the application was made without a site store")
    return store
