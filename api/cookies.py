"""Cookies never authenticate the API, so nothing is read from one and nothing is kept in one."""

from flask import Flask, Request, Response
from flask.sessions import NullSession, SessionInterface, SessionMixin


class NoCookies(SessionInterface):
    """Takes the place of Flask's signed cookie, which costs every request a signer and its keys."""

    _session = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        """Return the session that refuses to be written to."""
        return self._session

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Keep nothing."""


def register(app: Flask) -> None:
    """Do without sessions of Flask."""
    app.session_interface = NoCookies()
