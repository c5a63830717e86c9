"""ORM classes: columns, relationships and rules about one row."""
