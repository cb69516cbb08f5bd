"""Runs in Weights & Biases, made from run folders: by a process beside a run, or later by `sandbox mirror`."""
