"""One module a revision; a revision never changes once it is released, and imports nothing of this package."""
