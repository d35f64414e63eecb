"""What is fuzzed: by name, a function of bytes that raises when something does not hold.

Each has an oracle: a round trip, another implementation, or a rule that what is accepted must keep. What a parser may
raise is named where it is called; anything else that escapes is a finding.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz.targets import archives, documents, fields, framing, hashing, log

type Target = Callable[[bytes], None]

TARGETS: dict[str, Target] = {
    "ranges": fields.ranges,
    "digest-fields": fields.digest_fields,
    "entity-tags": fields.entity_tags,
    "names": fields.names_and_escapes,
    "labels": fields.labels,
    "media-types": fields.media_types,
    "authorization": fields.authorization,
    "traceparent": fields.traceparent,
    "provenance": documents.provenance,
    "json": documents.bounded,
    "manifest": documents.manifest,
    "statement": documents.statement,
    "envelope": documents.envelope,
    "archive": archives.archive,
    "cursors": log.cursors,
    "events": log.events,
    "payloads": log.payloads_of,
    "hashing": hashing.sequence,
    "framing": framing.requests,
}
