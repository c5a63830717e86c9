"""Entry point for the visitors of the sites: `gunicorn sites_wsgi:app`."""

from core.loading import loading

with loading():
    from config import load_settings
    from core import logs, restore_marker
    from serving.app import create_sites_app

    settings = load_settings()
    restore_marker.refuse(settings.data_dir)
    logs.configure(settings)
    app = create_sites_app(settings)
