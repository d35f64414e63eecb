"""Audit: who did what, who read what. Retrievals are summed in memory and recorded at an interval."""
