"""What else could take the bytes: servers that are started here, and ceilings in C. None of them is required."""
