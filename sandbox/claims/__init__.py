"""The claims of the essay: from their files to evidence, verdicts by criteria written before, a table and a page."""
