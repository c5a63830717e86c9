"""Campaigns that show the promises hold: crashes, races, readers under load, write order."""
