"""The mathematics of the instruments: pure functions of tensors and arrays, usable on any system."""
