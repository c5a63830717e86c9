"""What visitors talk to: static sites by host, with API and database down."""
