"""Implementations of `storage.spi.StorageBackend`. Only the composition root may import them (ADR-0004)."""
