"""The rule language: losses and update rules as short typed straight-line programs, and programs as tensors."""
