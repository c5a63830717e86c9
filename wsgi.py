"""The API as a WSGI application, for gunicorn and other servers."""

from core.loading import loading

with loading():
    from app import create_served_app

    app = create_served_app()
# Where CELERY_BROKER_URL is set, for `celery -A wsgi`; `relevo worker` makes that unnecessary.
celery = app.extensions.get("celery")
