"""Files in and out: knows bytes and paths, no rows and no rules."""
