"""The errors of the domain, one tree. None of them knows HTTP, an exit status or a database.

    ArtifactStoreError
    |-- InvalidInputError               what the caller wrote cannot be meant; `field` names the part
    |   |-- InvalidDigestError
    |   |-- InvalidNameError
    |   |-- InvalidMetadataError
    |   |-- InvalidQueryError
    |   |-- InvalidPackageError
    |   `-- InvalidStatementError
    |-- NotFoundError
    |   |-- ObjectNotFoundError
    |   |-- ArtifactNotFoundError
    |   |-- PackageNotFoundError
    |   `-- TokenNotFoundError
    |-- DigestMismatchError             the bytes are not what the caller said they are
    |-- IncompleteBodyError             the stream ended, or its sender left, before its end
    |-- ObjectTooLargeError             more bytes than the limit in force
    |-- UnsupportedEncodingError        bytes in a content coding, which would be digested coded
    |-- PreconditionFailedError         If-Match / If-None-Match did not hold
    |-- UnauthenticatedError            no token that is in force says who asks
    |-- ForbiddenError                  the token does not grant this
    |-- QuotaExceededError              the namespace holds all that it may
    |-- IdempotencyKeyReusedError       the key of another request
    |-- RequestInProgressError          the key of a request that is not over yet
    |-- ObjectInUseError                a reference or a hold forbids the deletion
    |-- ObjectDamagedError              the stored copy is known not to be the object
    |-- StorageError                    the bytes' side failed
    |   |-- StorageFullError            no space that is not promised already
    |   |-- BytesKeptError              no bytes may be removed for now
    |   `-- UnreadableCopyError         the stored copy itself cannot be read: it is damaged
    |-- RegistryError                   the facts' side failed
    |   |-- UnknownEventError           an event this version of the code has no type for
    |   |-- LogCorruptError             the log contradicts itself
    |   |-- OutcomeUnknownError         a commit failed, and it may be durable all the same
    |   `-- SchemaTooNewError           the database is of a later version than the code
    |-- RootError                       a root that cannot be opened
    |   |-- RootLockedError             another process writes it
    |   `-- RootFormatError             it is not ours, or of a later format
    |-- BackupError                     a backup that is none, or not of this log, or cannot be read or written
    |-- ConfigurationError              settings that contradict each other or the machine
    `-- RemoteError                     a server answered what this client cannot interpret, or not at all

`code` is the stable name of an error, the same in problem documents, in logs and in the remote client.
"""

from __future__ import annotations

from typing import ClassVar


class ArtifactStoreError(Exception):
    """The root of the tree. `str(error)` is one line that says what to do; it never carries a traceback."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInputError(ArtifactStoreError):
    """What the caller wrote cannot be meant. `field` names the header, parameter or argument at fault."""

    code = "invalid-input"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class InvalidDigestError(InvalidInputError):
    """Not `blake3:<64 hex>` or `sha256:<64 hex>`."""

    code = "invalid-digest"


class InvalidNameError(InvalidInputError):
    """A namespace or an artifact name outside the rules."""

    code = "invalid-name"


class InvalidMetadataError(InvalidInputError):
    """A kind, label, media type, retention class or provenance outside the rules."""

    code = "invalid-metadata"


class InvalidQueryError(InvalidInputError):
    """A search parameter, page size or cursor that cannot be used."""

    code = "invalid-query"


class InvalidPackageError(InvalidInputError):
    """A package, or its manifest, outside the rules of `domain.package` and `domain.manifest`."""

    code = "invalid-package"


class InvalidStatementError(InvalidInputError):
    """Not an in-toto Statement v1, its SLSA v1 provenance, or a DSSE envelope of one."""

    code = "invalid-statement"


class NotFoundError(ArtifactStoreError):
    """There is nothing under that address, for this caller."""

    code = "not-found"


class ObjectNotFoundError(NotFoundError):
    """No object has that digest."""

    code = "object-not-found"


class ArtifactNotFoundError(NotFoundError):
    """No artifact has that id, or that namespace and name."""

    code = "artifact-not-found"


class PackageNotFoundError(NotFoundError):
    """No package has that id."""

    code = "package-not-found"


class TokenNotFoundError(NotFoundError):
    """No token has that id."""

    code = "token-not-found"


class DigestMismatchError(ArtifactStoreError):
    """The bytes digest to something other than what the caller announced. Nothing was stored."""

    code = "digest-mismatch"


class IncompleteBodyError(ArtifactStoreError):
    """The stream broke off before its announced end. Nothing was stored."""

    code = "incomplete-body"


class ObjectTooLargeError(ArtifactStoreError):
    """More bytes than the limit in force. Nothing was stored."""

    code = "object-too-large"


class UnsupportedEncodingError(ArtifactStoreError):
    """The body is in a content coding: its digest would be that of the coded form."""

    code = "unsupported-encoding"


class PreconditionFailedError(ArtifactStoreError):
    """A condition the caller set does not hold."""

    code = "precondition-failed"


class UnauthenticatedError(ArtifactStoreError):
    """The request has no token that is in force: none, one that is malformed, unknown, expired or revoked."""

    code = "unauthenticated"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class ForbiddenError(ArtifactStoreError):
    """The token does not grant what is asked for: another scope, or another namespace. `field` says which."""

    code = "forbidden"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class QuotaExceededError(ArtifactStoreError):
    """The namespace holds all that it may. Nothing was recorded; downloads and deletions go on."""

    code = "quota-exceeded"


class IdempotencyKeyReusedError(ArtifactStoreError):
    """The idempotency key stands for another request already."""

    code = "idempotency-key-reused"


class RequestInProgressError(ArtifactStoreError):
    """A request with the same idempotency key is not over yet: ask again, and its answer will be there."""

    code = "request-in-progress"


class ObjectInUseError(ArtifactStoreError):
    """An artifact refers to the object, or a hold covers it: it cannot be deleted."""

    code = "object-in-use"


class ObjectDamagedError(ArtifactStoreError):
    """The stored copy is known to differ from the object. Uploading the object again mends it."""

    code = "object-damaged"


class StorageError(ArtifactStoreError):
    """A backend or the staging area failed; the operation did not happen."""

    code = "storage-failed"


class StorageFullError(StorageError):
    """There is no space left that is not promised already. Downloads and deletions go on."""

    code = "storage-full"


class BytesKeptError(StorageError):
    """The bytes stay for now, since a backup copies them: their removal is to be tried again."""

    code = "bytes-kept"


class UnreadableCopyError(StorageError):
    """The stored copy cannot be read, for a reason that lies in the copy and not in the moment: it is damaged."""

    code = "unreadable-copy"


class RegistryError(ArtifactStoreError):
    """The event log or its views failed; the operation did not happen, except where it is OutcomeUnknownError."""

    code = "registry-failed"


class UnknownEventError(RegistryError):
    """The log holds an event whose type, or version, this code does not know."""

    code = "unknown-event"


class LogCorruptError(RegistryError):
    """The log contradicts itself: a gap, a leaf that is not its event's, or an event that cannot follow."""

    code = "log-corrupt"


class OutcomeUnknownError(RegistryError):
    """A commit failed and the log cannot be read: the operation may have happened. Ask again before repeating it."""

    code = "outcome-unknown"


class SchemaTooNewError(RegistryError):
    """The database was written by a later version of this software."""

    code = "schema-too-new"


class RootError(ArtifactStoreError):
    """The root directory cannot be opened."""

    code = "root-unusable"


class RootLockedError(RootError):
    """Another process writes this root."""

    code = "root-locked"


class RootFormatError(RootError):
    """The directory holds something else, or a later format of ours."""

    code = "root-format"


class BackupError(ArtifactStoreError):
    """A directory that is no backup, or not of this log, or that cannot be read or written."""

    code = "backup-unusable"


class ConfigurationError(ArtifactStoreError):
    """Settings that contradict each other, or ask for what this machine does not have."""

    code = "configuration"


class RemoteError(ArtifactStoreError):
    """A server did not answer, or answered what this client cannot interpret."""

    code = "remote-failed"
