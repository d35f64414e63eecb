"""A registry of a million artifacts: the time to record them, and what each kind of question costs then."""
