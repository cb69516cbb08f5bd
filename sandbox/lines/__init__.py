"""The format of a lineage: how a reflective step is written as a line, and how every reader gets it back."""
