"""`/v1/packages`."""

from __future__ import annotations

from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.common import B3_EXAMPLE, IDENTITY, IDENTITY_EXAMPLE, TIME, TIME_EXAMPLE, UUID_EXAMPLE
from artifactstore.api.openapi.content import content_operation
from artifactstore.api.openapi.parts import (
    ANY,
    JSON,
    Json,
    answer,
    flag,
    headers,
    operation,
    or_null,
    page,
    parameter,
    parameters,
    query,
    record,
    schema,
    text,
    whole,
)
from artifactstore.domain import errors, names
from artifactstore.domain.manifest import MEDIA_TYPE
from artifactstore.domain.package import MAX_MEMBERS, MAX_RELATED, Completeness
from artifactstore.manifests.exports import ExportFormat

TAG = {"name": "packages", "description": "Sealed sets of members with one manifest, and their exports."}

_ID = parameter("path", "id", "The package's id.", schema("UUID"), example=UUID_EXAMPLE)
_BY_ID = (errors.InvalidInputError, errors.PackageNotFoundError)
_MAX_SEQ = 2**53 - 1
_LABEL = text("Its version, as people write it.", minLength=1, maxLength=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")

PATHS: Json = {
    "/v1/packages": {
        "post": operation(
            "sealPackage",
            "Seal what is stored",
            description="Each member is there already, as an object or an artifact. The manifest, an in-toto Statement "
            "v1, is stored as an object; one event seals the package. The same package again is answered 200, with the "
            "package that is there. The document has at most 16 MiB.",
            parameters=parameters("Idempotency-Key"),
            body={
                "description": "The package to be.",
                "required": True,
                "content": {JSON: {"schema": schema("Sealing")}},
            },
            answers={
                200: answer(
                    "It was sealed already",
                    schema("SealedPackage"),
                    headers=headers("Location", "Idempotency-Replayed"),
                ),
                201: answer(
                    "It is sealed", schema("SealedPackage"), headers=headers("Location", "Idempotency-Replayed")
                ),
            },
            refused=[
                errors.InvalidPackageError,
                "unsupported-media-type",
                *refusals.BODY,
                errors.PackageNotFoundError,
                errors.ObjectNotFoundError,
                errors.ObjectDamagedError,
                errors.PreconditionFailedError,
                *refusals.BYTES,
                *refusals.WRITING,
                errors.QuotaExceededError,
                *refusals.KEYED,
            ],
        ),
        "get": operation(
            "listPackages",
            "List, in the order of sealing",
            description="An empty page is the end. Repeated with `after` set to `next`, the request follows what is "
            "sealed.",
            parameters=[
                query("namespace", "Packages of this namespace.", schema("Namespace"), example="default"),
                query("name", "Packages of this name.", schema("Name"), example="evidence/run"),
                query(
                    "after",
                    "The `next` of the page before.",
                    {"type": "integer", "minimum": 0, "maximum": _MAX_SEQ, "default": 0},
                    example=0,
                ),
                *parameters("limit"),
            ],
            answers={200: answer("A page", schema("PackagePage"))},
            refused=[errors.InvalidQueryError, errors.InvalidNameError, *refusals.READING],
        ),
    },
    "/v1/packages/{id}": {
        "parameters": [_ID],
        "get": operation(
            "getPackage",
            "One record, with the members",
            answers={200: answer("The record", schema("PackageWithMembers"))},
            refused=[*_BY_ID, *refusals.READING],
        ),
    },
    "/v1/packages/{id}/manifest": {
        "parameters": [_ID],
        "get": content_operation(
            "getPackageManifest",
            "The manifest, byte for byte",
            refused=[*_BY_ID, errors.ObjectNotFoundError],
            media_type=MEDIA_TYPE,
        ),
    },
    "/v1/packages/{id}/export": {
        "parameters": [_ID],
        "get": operation(
            "getPackageExport",
            "The whole package as one file",
            description="The length is known before; nothing is copied on the way. A member that turns out not to be "
            "what was sealed breaks the connection: what came is no whole file.",
            parameters=[
                {
                    **query("format", "The form.", {"enum": [str(form) for form in ExportFormat]}, example="bagit-zip"),
                    "required": True,
                }
            ],
            answers={
                200: answer(
                    "A zip or tar archive",
                    {},
                    media_type=ANY,
                    headers=headers(
                        "Content-Disposition",
                        "Cache-Control",
                        "Content-Security-Policy",
                        "Cross-Origin-Resource-Policy",
                    ),
                )
            },
            refused=[
                *_BY_ID,
                errors.InvalidQueryError,
                errors.ObjectNotFoundError,
                errors.ObjectDamagedError,
                *refusals.BYTES,
                *refusals.READING,
            ],
        ),
    },
}

_PACKAGE: Json = {
    "id": schema("UUID"),
    "namespace": schema("Namespace"),
    "name": schema("Name"),
    "manifest": record("The manifest, an object.", IDENTITY),
    "member_count": whole("How many members it has.", 1),
    "size_bytes": whole("The length of its members, in sum."),
    "supersedes": or_null(schema("UUID")),
    "superseded_by": or_null(schema("UUID")),
    "created_at": TIME,
    "created_by": text("Who sealed it."),
}
_PACKAGE_EXAMPLE: Json = {
    "id": UUID_EXAMPLE,
    "namespace": "default",
    "name": "evidence/run",
    "manifest": {**IDENTITY_EXAMPLE, "size_bytes": 512},
    "member_count": 1,
    "size_bytes": 16,
    "supersedes": None,
    "superseded_by": None,
    "created_at": TIME_EXAMPLE,
    "created_by": "anonymous",
}
_MEMBER_EXAMPLE: Json = {
    "name": "report.xml",
    **IDENTITY_EXAMPLE,
    "media_type": "application/xml",
    "artifact_id": UUID_EXAMPLE,
}
_MEDIA_TYPE = text("A media type.", maxLength=names.MAX_MEDIA_TYPE_CHARACTERS)


def _closed(found: Json) -> Json:
    return {**found, "additionalProperties": False}


_TO_BE_A_MEMBER = _closed(
    record(
        "What is to be a member: an object by a `digest`, or an `artifact` by its id. An artifact keeps the last "
        "segment of its name, and its media type, where no other is given.",
        {
            "name": schema("Name"),
            "digest": schema("Digest"),
            "artifact": schema("UUID"),
            "media_type": _MEDIA_TYPE,
        },
        optional=("name", "digest", "artifact", "media_type"),
    )
) | {"oneOf": [{"required": ["digest", "name"]}, {"required": ["artifact"]}]}

SCHEMAS: Json = {
    "Sealing": _closed(
        record(
            "A package to be.",
            {
                "namespace": schema("Namespace"),
                "name": schema("Name"),
                "members": {"type": "array", "minItems": 1, "maxItems": MAX_MEMBERS, "items": _TO_BE_A_MEMBER},
                "label": _LABEL,
                "completeness": {"enum": [str(state) for state in Completeness]},
                "completeness_note": text("What there is to say of that.", minLength=1, maxLength=4096),
                "producer": _closed(
                    record(
                        "The tool that made the members.",
                        {"name": _LABEL, "version": _LABEL, "uri": text("Where to find it.", maxLength=2048)},
                        optional=("version", "uri"),
                    )
                ),
                "related": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_RELATED,
                    "items": _closed(
                        record(
                            "Something outside of the package.",
                            {"relation": schema("Word"), "digest": schema("Digest")},
                        )
                    ),
                },
                "supersedes": schema("UUID"),
                "retention": schema("Word"),
            },
            optional=(
                "label",
                "completeness",
                "completeness_note",
                "producer",
                "related",
                "supersedes",
                "retention",
            ),
            example={
                "namespace": "default",
                "name": "evidence/run",
                "members": [{"name": "report.xml", "digest": B3_EXAMPLE}],
                "completeness": "complete",
            },
        )
    ),
    "Package": record("A package's record.", _PACKAGE, example=_PACKAGE_EXAMPLE),
    "SealedPackage": record(
        "What sealing is answered with.",
        {**_PACKAGE, "created": flag("The package is new.")},
        example={**_PACKAGE_EXAMPLE, "created": True},
    ),
    "PackageMember": record(
        "A member of a package.",
        {
            "name": schema("Name"),
            **IDENTITY,
            "media_type": _MEDIA_TYPE,
            "artifact_id": or_null(schema("UUID")),
        },
        example=_MEMBER_EXAMPLE,
    ),
    "PackageWithMembers": record(
        "A package's record, with its members in the manifest's order.",
        {**_PACKAGE, "members": {"type": "array", "items": schema("PackageMember")}},
        example={**_PACKAGE_EXAMPLE, "members": [_MEMBER_EXAMPLE]},
    ),
    "PackagePage": page("A page of packages.", "Package", whole("The `after` of the following page.")),
}
