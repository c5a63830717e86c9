"""gunicorn for visitors: `gunicorn --config deploy/gunicorn/sites.py sites_wsgi:app`."""

import sys
from pathlib import Path

# gunicorn searches the working directory first; a module there must not come before others.
sys.path.sort(key=lambda folder: Path(folder).resolve() == Path.cwd())
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.loading import loading

with loading():
    from config import load_settings
    from core.gunicorn_settings import common_settings

# A visitor with a slow line holds a thread for as long as the download takes.
THREADS_PER_WEB_THREAD = 4

_settings = load_settings()
globals().update(common_settings(_settings))
bind = f"{_settings.host}:{_settings.sites_port}"
threads = THREADS_PER_WEB_THREAD * _settings.web_threads
proc_name = "relevo-sites"
