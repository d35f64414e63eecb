"""What can be asked of the log: each command names the rows it needs and decides its events from them."""

from __future__ import annotations

from artifactstore.registry.commands.answers import KeepAnswer
from artifactstore.registry.commands.artifacts import (
    Condition,
    RecordArtifact,
    RecordRetrievals,
    Relabel,
    Tombstone,
    check_condition,
)
from artifactstore.registry.commands.objects import (
    Attest,
    DeleteObject,
    MarkDamaged,
    MarkSound,
    PurgeObject,
    RecordObject,
    StoredBytes,
    Upload,
)
from artifactstore.registry.commands.packages import SealPackage
from artifactstore.registry.commands.tokens import IssueToken, RevokeToken

__all__ = [
    "Attest",
    "Condition",
    "DeleteObject",
    "IssueToken",
    "KeepAnswer",
    "MarkDamaged",
    "MarkSound",
    "PurgeObject",
    "RecordArtifact",
    "RecordObject",
    "RecordRetrievals",
    "Relabel",
    "RevokeToken",
    "SealPackage",
    "StoredBytes",
    "Tombstone",
    "Upload",
    "check_condition",
]
