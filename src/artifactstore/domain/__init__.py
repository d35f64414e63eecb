"""The words of the system: digests, ranges, names, records, errors. No I/O, nothing asynchronous."""
