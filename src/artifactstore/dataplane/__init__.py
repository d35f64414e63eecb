"""The bytes' way: receive, digest and stage once, publish, serve, verify, delete. `spi` is its port (ADR-0004)."""
