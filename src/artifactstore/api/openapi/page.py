"""The description as a page: made here, once, so that it needs no script, no network and no library of a browser's."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from html import escape
from http import HTTPStatus
from importlib.resources import files
from itertools import chain

from artifactstore.api.fields import EVERY_ANSWER
from artifactstore.api.openapi import rules
from artifactstore.api.openapi.document import document
from artifactstore.api.openapi.parts import Json
from artifactstore.api.openapi.rules import code, prose, resolved
from artifactstore.api.problems import MEDIA_TYPE, TYPE_PREFIX

_STYLE = (files(__package__) / "page.css").read_text(encoding="utf-8")
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

#: The page may show itself in its one style sheet, and nothing else.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def html() -> bytes:
    """The page."""
    described = document()
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(described['info']['title'])}: the HTTP API</title><style>{_STYLE}</style></head><body>",
            *_contents(described),
            "<main>",
            *_introduction(described),
            *chain.from_iterable(_resource(described, tag) for tag in described["tags"]),
            *_documents(described),
            *_problems(described),
            "</main></body></html>",
        ]
    ).encode()


def _operations(described: Json, tag: str) -> Iterator[tuple[str, str, Json]]:
    """The path, the method and the operation of each of a resource; a HEAD is told with its GET."""
    for path, item in described["paths"].items():
        for method, operation in item.items():
            if method not in ("parameters", "head") and tag in operation["tags"]:
                yield path, method, {**operation, "parameters": _parameters(item, operation)}


def _parameters(item: Json, operation: Json) -> list[Json]:
    return [resolved(each) for each in [*item.get("parameters", ()), *operation.get("parameters", ())]]


def _is_problem(name: str) -> bool:
    return name.endswith("Problem")


def _method(method: str) -> str:
    return f'<b class="method {method}">{method.upper()}</b>'


def _contents(described: Json) -> Iterator[str]:
    yield f'<nav><a class="brand" href="#top">{escape(described["info"]["title"])}</a><ul>'
    for tag in described["tags"]:
        yield f'<li><a href="#{tag["name"]}">{tag["name"]}</a><ul>'
        for path, method, operation in _operations(described, tag["name"]):
            link = f"#{operation['operationId']}"
            yield f'<li><a href="{link}">{_method(method)}<span>{rules.path(path)}</span></a></li>'
        yield "</ul></li>"
    yield '<li><a href="#documents">documents</a></li><li><a href="#problems">problems</a></li></ul></nav>'


def _introduction(described: Json) -> Iterator[str]:
    info = described["info"]
    yield f'<header id="top"><h1>{escape(info["title"])} <small>{escape(info["version"])}</small></h1>'
    yield prose(info["description"])
    yield prose(described["components"]["securitySchemes"]["bearer"]["description"])
    every = " and ".join(code(f"{name}: {value}") for name, value in EVERY_ANSWER.items())
    yield f"<p>Every answer has {every}.</p>"
    yield '<p><a href="/openapi.json">openapi.json</a> is the same for programs, in OpenAPI 3.1.</p></header>'


def _resource(described: Json, tag: Json) -> Iterator[str]:
    yield f'<section id="{tag["name"]}"><h2>{tag["name"].capitalize()}</h2>{prose(tag["description"])}'
    for path, method, operation in _operations(described, tag["name"]):
        yield f'<article id="{operation["operationId"]}"><h3><a href="#{operation["operationId"]}">'
        yield _method(method) + (_method("head") if method == "get" else "")
        yield f"<code>{rules.path(path)}</code></a></h3>"
        yield f'<p class="summary">{rules.spans(operation["summary"])}</p>{prose(operation.get("description", ""))}'
        yield from _request(operation)
        yield from _answers(operation)
        yield "</article>"
    yield "</section>"


def _request(operation: Json) -> Iterator[str]:
    given, body = operation["parameters"], operation.get("requestBody")
    if not given and not body:
        return
    yield '<h4>Request</h4><dl class="fields">'
    for parameter in given:
        must = ' <i class="must">required</i>' if parameter.get("required") and parameter["in"] != "path" else ""
        example = f" For example {code(str(parameter['example']))}." if "example" in parameter else ""
        yield f'<dt>{code(parameter["name"])}<i class="place">{parameter["in"]}</i>{must}</dt>'
        yield f"<dd>{rules.spans(parameter['description'])}{example} {rules.sentence(parameter['schema'])}</dd>"
    if body:
        kinds = ", ".join(_content(media_type, content) for media_type, content in body["content"].items())
        yield f'<dt>body</dt><dd>{rules.spans(body["description"])} <span class="rule">{kinds}</span></dd>'
    yield "</dl>"


def _content(media_type: str, content: Json) -> str:
    kind = "any media type" if media_type == "*/*" else code(media_type)
    told = rules.kind(content["schema"]) if content.get("schema") else ""
    return f"{kind}: {told}" if told else kind


def _answers(operation: Json) -> Iterator[str]:
    yield '<h4>Answers</h4><dl class="answers">'
    refused: dict[str, str] = {}
    for status, answer in operation["responses"].items():
        problem = answer.get("content", {}).get(MEDIA_TYPE)
        if problem is not None:
            refused[status] = _refusal(status, problem["schema"])
            continue
        yield f'<dt><b class="status s{status[0]}">{status}</b></dt><dd>{rules.spans(answer["description"])}'
        for media_type, content in answer.get("content", {}).items():
            yield f' <span class="rule">{_content(media_type, content)}</span>'
        yield from _headers(answer)
        yield "</dd>"
    yield f'</dl><details><summary>Refusals: {", ".join(refused)}</summary><dl class="answers">'
    yield from refused.values()
    yield "</dl></details>"


def _headers(answer: Json) -> Iterator[str]:
    told = {name: resolved(header) for name, header in answer["headers"].items() if name not in EVERY_ANSWER}
    if told:
        yield f'<details><summary>with {", ".join(told)}</summary><ul class="headers">'
        for name, header in told.items():
            yield f"<li>{code(name)} {rules.spans(header['description'])}</li>"
        yield "</ul></details>"


def _refusal(status: str, schema: Json) -> str:
    names = [each["$ref"].rpartition("/")[2] for each in schema.get("oneOf", [schema])]
    links = " ".join(f'<a href="#{name}">{_code_of(name)}</a>' for name in names)
    return f'<dt><b class="status s{status[0]}">{status}</b></dt><dd class="codes">{links}</dd>'


def _code_of(name: str) -> str:
    kind: str = document()["components"]["schemas"][name]["properties"]["type"]["const"]
    return kind.removeprefix(TYPE_PREFIX)


def _documents(described: Json) -> Iterator[str]:
    yield '<section id="documents"><h2>Documents</h2><p>What bodies and parameters are made of.</p>'
    for name, schema in described["components"]["schemas"].items():
        if _is_problem(name):
            continue
        yield f'<article id="{name}"><h3><a href="#{name}">{name}</a></h3>{prose(schema["description"])}'
        if "properties" in schema:
            yield from _members(schema)
        else:
            yield f"<p>{rules.sentence(schema)}</p>"
        yield from _examples(schema)
        yield "</article>"
    yield "</section>"


def _members(schema: Json) -> Iterator[str]:
    yield '<dl class="fields">'
    for name, member in schema["properties"].items():
        optional = "" if name in schema["required"] else ' <i class="place">optional</i>'
        yield f"<dt>{code(name)}{optional}</dt><dd>{rules.spans(rules.meaning(member))} {rules.sentence(member)}"
        if "properties" in member:
            yield from _members(member)
        yield "</dd>"
    yield "</dl>"


def _examples(schema: Json) -> Iterable[str]:
    shown = [
        example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
        for example in schema.get("examples", ())
    ]
    return [f"<pre>{escape(text)}</pre>" for text in shown]


def _problems(described: Json) -> Iterator[str]:
    yield '<section id="problems"><h2>Problems</h2>'
    yield prose(f"`type` is `{TYPE_PREFIX}` and the code. Codes are stable; they name the errors of the library, too.")
    found = [
        (schema["properties"]["status"]["const"], name, schema)
        for name, schema in described["components"]["schemas"].items()
        if _is_problem(name)
    ]
    yield '<dl class="fields problems">'
    for status, name, schema in sorted(found, key=lambda each: each[:2]):
        mark = f'<b class="status s{status // 100}" title="{HTTPStatus(status).phrase}">{status}</b>'
        yield f'<dt id="{name}">{mark} {code(_code_of(name))}</dt><dd>{rules.spans(schema["description"])}</dd>'
    yield "</dl></section>"
