"""What `sandbox new` writes, as templates."""
