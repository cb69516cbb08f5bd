"""Instruments that read a run between two reflective steps: pure, on streams of their own."""
