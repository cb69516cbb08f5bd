"""Who judges an edit, on data that the meta-learner cannot reach."""
