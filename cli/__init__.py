"""The `relevo` commands: parse, call one service, print."""
