"""Use cases: what the API, the CLI and the background work share."""
