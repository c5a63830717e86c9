"""The wire format: one marshmallow module for each resource."""
