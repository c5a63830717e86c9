"""gunicorn for the API: `gunicorn --config deploy/gunicorn/web.py wsgi:app`."""

from config import load_settings
from core import gunicorn_settings
from models.engine import forget_connections

_settings = load_settings()
globals().update(gunicorn_settings.common_settings(_settings))
bind = f"{_settings.host}:{_settings.port}"
proc_name = "relevo-web"


def post_fork(server: object, worker: gunicorn_settings.Worker) -> None:
    """Tie the worker to its gunicorn; a database connection must not be shared by two processes."""
    gunicorn_settings.post_fork(server, worker)
    forget_connections()
