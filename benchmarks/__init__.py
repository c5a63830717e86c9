"""Measurements against the usual ways, both sides in one interleaved run."""
