"""Copies of a root, consistent to a point in time, and roots made from them (docs/storage-format.md, ADR-0032)."""
