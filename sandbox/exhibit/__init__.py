"""Systems outside the loop, as something that can be measured under a seed: one file an exhibit."""
