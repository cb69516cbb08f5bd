"""What is learned on: families of tasks, their objective P and, where declared, the human's H."""
