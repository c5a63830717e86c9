"""The `relevo` commands."""
