"""The description of the HTTP API: OpenAPI 3.1, and the same as a page to read (ADR-0023).

One module per resource holds its `TAG`, `PATHS` and `SCHEMAS`, written with the builders of `parts`; `document` puts
them together. A route is added by its entry in `PATHS`.
"""
