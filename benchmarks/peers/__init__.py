"""The same two operations as others would write them, on the same tables and rows."""
