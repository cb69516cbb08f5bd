"""Learning rules: a loss and an update, with parameters phi that can be edited."""
