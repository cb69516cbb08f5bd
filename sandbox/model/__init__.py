"""Networks as pure functions of their weights."""
