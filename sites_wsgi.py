"""Entry point for the visitors of the sites: `gunicorn sites_wsgi:app`."""

from config import load_settings
from core import logs
from serving.app import create_sites_app

settings = load_settings()
logs.configure(settings)
app = create_sites_app(settings)
