"""What a run leaves on disk: lineage, checkpoints, the journal of answers."""
