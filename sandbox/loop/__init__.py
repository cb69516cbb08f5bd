"""The reflective loop: it knows the wings and the engine by protocol only, writes nothing and prints nothing."""
