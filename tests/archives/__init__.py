"""Archives for tests: hostile ones that must be refused, odd ones that must be taken."""
