"""The event log and its views, beside a bare sqlite3 loop that writes the same rows."""
