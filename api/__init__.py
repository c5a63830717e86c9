"""HTTP: requests in, problems and documents out."""
