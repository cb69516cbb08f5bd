"""Who edits the learning: each declares what it needs, is served it, and asks for an edit."""
