"""The API as a WSGI application, for gunicorn and other servers."""

from app import create_served_app

app = create_served_app()
