"""The state tree, edits, records, named streams and every seam: what all other rooms speak in."""
