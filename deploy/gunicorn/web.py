"""gunicorn for the API: `gunicorn --config deploy/gunicorn/web.py wsgi:app`.

The application is loaded before the workers are forked. It opens no database connection until
the first request, so the workers share none.
"""

import sys
from pathlib import Path

# gunicorn searches the working directory first; a module there must not come before others.
sys.path.sort(key=lambda folder: Path(folder).resolve() == Path.cwd())
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.loading import loading

with loading():
    from config import load_settings
    from core.gunicorn_settings import common_settings

_settings = load_settings()
globals().update(common_settings(_settings))
worker_class = "core.gunicorn_worker.ApiWorker"
bind = f"{_settings.host}:{_settings.port}"
proc_name = "relevo-web"
