"""HTTP, version 1: a thin user of the store. Status codes live here and nowhere else (docs/http-api.md)."""
