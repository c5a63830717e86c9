"""The API as a WSGI application, for gunicorn and other servers."""

from app import create_app

app = create_app()
