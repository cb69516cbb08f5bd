"""Where records go: the lineage on disk, checkpoints, and W&B."""
