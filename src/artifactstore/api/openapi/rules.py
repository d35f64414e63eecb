"""Descriptions and schemas in words, as HTML."""

from __future__ import annotations

import json
import re
from html import escape

from artifactstore.api.openapi.document import document
from artifactstore.api.openapi.parts import Json

_CODE = re.compile(r"`([^`]+)`")
_PLACE = re.compile(r"\{(\w+)\}")


def code(text: str) -> str:
    """Text as it is typed."""
    return f"<code>{escape(text)}</code>"


def spans(text: str) -> str:
    """A description's text, whose only markup is the back-quote."""
    return "".join(code(part) if index % 2 else escape(part) for index, part in enumerate(_CODE.split(text)))


def prose(text: str) -> str:
    """The same in paragraphs."""
    return "".join(f"<p>{spans(part)}</p>" for part in text.split("\n\n") if part)


def path(text: str) -> str:
    """An address; it may be broken at its slashes."""
    return _PLACE.sub(r"<var>{\1}</var>", escape(text).replace("/", "/<wbr>"))


def resolved(node: Json) -> Json:
    """What a reference leads to; anything else as it is. Members beside the reference are kept."""
    if "$ref" not in node:
        return node
    _, _, kind, name = node["$ref"].split("/")
    found: Json = document()["components"][kind][name]
    return {**found, **{key: value for key, value in node.items() if key != "$ref"}}


def meaning(schema: Json) -> str:
    """What a schema's description says."""
    if "anyOf" in schema:
        schema = schema["anyOf"][0]
    text: str = resolved(schema).get("description", "")
    return text


def kind(schema: Json) -> str:
    """What a value is: a link to its document, or its type."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(kind(each) for each in schema["anyOf"])
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    if "enum" in schema:
        return " or ".join(code(json.dumps(value)) for value in schema["enum"])
    if "items" in schema:
        return f"array of {kind(schema['items'])}"
    types = schema.get("type", "anything")
    return " or ".join(types) if isinstance(types, list) else str(types)


def sentence(schema: Json) -> str:
    """What a value is, and the limits that it keeps."""
    limits = [
        f"{word} {code(str(schema[name]))}"
        for name, word in (
            ("format", "as"),
            ("minimum", "at least"),
            ("maximum", "at most"),
            ("maxLength", "length at most"),
            ("maxProperties", "members at most"),
            ("default", "by default"),
            ("pattern", "matches"),
        )
        if name in schema
    ]
    return f'<span class="rule">{", ".join([kind(schema), *limits])}</span>'
