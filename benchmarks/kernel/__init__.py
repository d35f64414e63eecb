"""The dual digest kernel beside hashlib and the blake3 wheel, every kernel of this CPU in turn, in one process."""
