"""gunicorn for the API: `gunicorn --config deploy/gunicorn/web.py wsgi:app`.

The application is loaded before the workers are forked. It opens no database connection until
the first request, so the workers share none.
"""

from config import load_settings
from core.gunicorn_settings import common_settings

_settings = load_settings()
globals().update(common_settings(_settings))
bind = f"{_settings.host}:{_settings.port}"
proc_name = "relevo-web"
