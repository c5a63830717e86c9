"""What every layer shares and no feature owns."""
