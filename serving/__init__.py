"""The WSGI application visitors of the sites talk to."""
