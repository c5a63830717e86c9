"""Background work: each task calls one service."""
