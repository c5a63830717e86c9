"""Tests of the storage: real disk, real processes."""
