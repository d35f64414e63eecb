"""The registry: an append-only event log, which is the authority, and views that are folded from it.

`registry` is the face; `log` is the one writer; `events` and `envelope` are what is written; `folding` says what an
event does to the views, without SQL, and `views` loads and writes the rows that it touches; `rebuilding` and
`verification` fold the whole log again; `queries` reads. docs/event-log.md is the format.
"""
