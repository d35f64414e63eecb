"""The documents against the code: links, commands, settings, problems, addresses, the log's format, decisions."""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import pkgutil
import re
import shlex
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
import rfc8785
from click import Command, Group

import artifactstore
from artifactstore.api import problems
from artifactstore.api.http import create_app
from artifactstore.api.limits import FramingTooLargeError
from artifactstore.api.openapi.document import document
from artifactstore.cli import commands
from artifactstore.domain.errors import ArtifactStoreError
from artifactstore.domain.manifest import Manifest
from artifactstore.registry.envelope import SALT_BYTES
from artifactstore.registry.events import EVENT_TYPES, decode, encode
from artifactstore.registry.migration import REVISIONS
from artifactstore.registry.schema import metadata
from artifactstore.settings import Settings
from artifactstore.store import Store

PROJECT = Path(__file__).parents[2]
DOCUMENTS = {
    path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
}
EVENT_LOG = DOCUMENTS["docs/event-log.md"]
HTTP_API = DOCUMENTS["docs/http-api.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")


def prose(text: str) -> str:
    """A document without its blocks of code."""
    return FENCE.sub("", text)


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    begin = text.index(f"\n{heading}\n") + len(heading) + 2
    following = re.search(rf"^#{{1,{level}}} ", text[begin:], re.MULTILINE)
    return text[begin : begin + following.start()] if following else text[begin:]


def tables(text: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Each table's head and its rows, as cells."""
    for block in re.findall(r"(?:^\|.*\|\n)+", prose(text) + "\n", re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines())
        yield [cell.strip("| ") for cell in head], [[cell.strip("| ") for cell in row] for row in rows]


def first_column(text: str, head: str) -> list[str]:
    """The code spans of the first cells of all tables whose first column has that head."""
    return [span for names, rows in tables(text) if names[0] == head for row in rows for span in SPAN.findall(row[0])]


# --- links --------------------------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as they are made from their text."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(DOCUMENTS[name])):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (PROJECT / name).parent / path if path else PROJECT / name
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(DOCUMENTS[file.resolve().relative_to(PROJECT).as_posix()]), target


def test_every_decision_is_in_the_index_and_in_its_form() -> None:
    files = {Path(name).name: text for name, text in DOCUMENTS.items() if re.match(r"docs/adr/\d", name)}
    index = DOCUMENTS["docs/adr/README.md"]
    assert re.findall(r"^\| \[(\d{4})\]\(\1-.*?\.md\)", index, re.MULTILINE) == [name[:4] for name in files]
    for name, text in files.items():
        assert f"]({name})" in index
        assert text.startswith(f"# {name[:4]}: ")
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "What would make us change it"], name


def test_every_decision_that_the_sources_name_is_there() -> None:
    folders = ("src", "native", "scripts", "docs", "tests")
    sources = [path for folder in folders for path in (PROJECT / folder).rglob("*") if path.is_file()]
    named = {
        number
        for path in [*sources, PROJECT / "pyproject.toml", PROJECT / "CONTRIBUTING.md"]
        if path.suffix not in (".so", ".pyc")
        for number in re.findall(r"\bADR-(\d{4})\b", path.read_text(encoding="utf-8", errors="replace"))
    }
    assert {"0004", "0007"} <= named <= {Path(name).name[:4] for name in DOCUMENTS if "/adr/0" in name}


# --- commands and settings ----------------------------------------------------------------------------------------


def command_lines() -> Iterator[tuple[str, str]]:
    """Every span and every line of shell in the documents, with its document."""
    for name, text in DOCUMENTS.items():
        yield from ((name, " ".join(span.split())) for span in SPAN.findall(prose(text)))
        for language, block in FENCE.findall(text):
            if language == "sh":
                yield from ((name, line.partition(" #")[0]) for line in block.replace("\\\n", " ").splitlines())


ARTIFACTSTORE_LINES = [item for item in command_lines() if re.match(r"(\S*/)?artifactstore [a-z]", item[1])]


@pytest.mark.parametrize(("name", "line"), ARTIFACTSTORE_LINES)
def test_every_command_exists(name: str, line: str) -> None:
    _, verb, *arguments = shlex.split(line)
    command = commands.commands.get(verb)
    if isinstance(command, Group) and arguments:
        verb, *arguments = arguments
        command = command.commands.get(verb)
    assert isinstance(command, Command), name
    known = {option for parameter in command.params for option in parameter.opts}
    assert {argument for argument in arguments if argument.startswith("-")} <= known, name


def test_every_command_is_in_the_changelog() -> None:
    (listed,) = re.findall(
        r"^- The command line: (.*?),\s+on a root", DOCUMENTS["CHANGELOG.md"], re.MULTILINE | re.DOTALL
    )
    assert set(SPAN.findall(listed)) == set(commands.commands)


def test_every_target_of_make_exists_and_is_documented() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.MULTILINE))
    used = {
        match[1] for _, line in command_lines() if (match := re.match(r"(?:\S+=\S+ )?make ([a-z0-9-]+)$", line.strip()))
    }
    assert used <= targets
    documented = {span.removeprefix("make ") for span in first_column(DOCUMENTS["CONTRIBUTING.md"], "target")}
    assert documented == targets


def test_every_setting_is_in_the_example_file_and_in_the_manual() -> None:
    known = {f"ARTIFACTSTORE_{field.upper()}" for field in Settings.model_fields} | {"ARTIFACTSTORE_KERNEL"}
    example = (PROJECT / ".env.example").read_text()
    assert set(re.findall(r"^#?(ARTIFACTSTORE_\w+)=", example, re.MULTILINE)) == known
    assert set(first_column(DOCUMENTS["docs/operations.md"], "variable")) == known


def test_every_variable_that_is_named_exists() -> None:
    known = {f"ARTIFACTSTORE_{field.upper()}" for field in Settings.model_fields}
    known |= {
        "ARTIFACTSTORE_KERNEL",
        "ARTIFACTSTORE_CFLAGS",
        "ARTIFACTSTORE_NO_ASM",
    }  # the kernel's own, and its build's
    named = {name for text in DOCUMENTS.values() for name in re.findall(r"\bARTIFACTSTORE_[A-Z_]*[A-Z]", text)}
    assert named <= known


def test_the_example_file_says_the_defaults() -> None:
    example = (PROJECT / ".env.example").read_text()
    free = {"max_object_bytes", "server", "attestation_keys", "quotas", "token"}  # no default; the file shows a value
    for name, value in re.findall(r"^#?ARTIFACTSTORE_(\w+)=(.*)$", example, re.MULTILINE):
        field = name.lower()
        if field in Settings.model_fields and field not in free:
            given = getattr(Settings.load(_env_file=None, **{field: value}), field)
            assert given == Settings.model_fields[field].default, name


def texts_of_the_sources() -> set[str]:
    """Every string in the sources; a part that is filled in at run time is a NUL."""
    found = set()
    for path in (PROJECT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Constant(value=str(text)):
                    found.add(text)
                case ast.JoinedStr(values=parts):
                    found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in parts))
    return found


def test_every_message_that_is_quoted_is_one_of_the_code() -> None:
    """A quoted message has `...` or N for what is filled in."""
    texts = texts_of_the_sources()
    begins = ("the root ", "the event log ", "event N ", "... is not ")
    quoted = {line for _, line in command_lines() if line.startswith(begins)}
    assert len(quoted) > 5
    for message in quoted:
        pattern = re.sub(r"\\\.\\\.\\\.|\bN\b|\b\d+\b", "\0", re.escape(message))
        assert any(re.match(pattern, text) for text in texts), message


# --- the HTTP API -------------------------------------------------------------------------------------------------


def errors_of_the_domain() -> dict[str, type[ArtifactStoreError]]:
    """Every class of the tree by its code, wherever it is defined."""
    for module in pkgutil.walk_packages(artifactstore.__path__, "artifactstore."):
        if "__main__" not in module.name and ".migrations" not in module.name:
            importlib.import_module(module.name)
    waiting, found = [ArtifactStoreError], {}
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        assert error.code not in found
        found[error.code] = error
    return found


def status_of(node: ast.expr) -> int:
    """A status as it is written in a call: a number, a member of HTTPStatus, or the framing's own, which is 400."""
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Attribute(attr=name):
            return HTTPStatus[name]
    return 400


def codes_made_in_the_api() -> dict[str, int]:
    """Codes that are no error of the domain, with their status: from calls of `problem`, and refusals as aiohttp's."""
    found = {
        HTTPStatus(status).phrase.lower().replace(" ", "-"): status
        for status in (404, 405, 408, 415, 417)  # what aiohttp and the routes raise as HTTPException
    }
    for path in (PROJECT / "src/artifactstore/api").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "problem":
                status, code = node.args[:2]
                if isinstance(code, ast.Constant):
                    assert isinstance(code.value, str)
                    found[code.value] = status_of(status)
    found[FramingTooLargeError.code] = FramingTooLargeError.status_code  # it has a code of its own
    return found


def test_the_refusals_are_those_that_have_a_text() -> None:
    assert set(problems._REFUSALS) == {404, 405, 408, 415, 417}


def test_what_the_protocol_alone_refuses_is_told_with_its_status() -> None:
    made = codes_made_in_the_api()
    assert {code: status for code, (status, _) in problems.PROTOCOL.items()} == {
        code: made[code] for code in set(made) - set(errors_of_the_domain())
    }


def test_every_problem_is_documented_with_its_status() -> None:
    text = section(HTTP_API, "## Problems")
    code = re.compile(r"`([a-z]+(?:-[a-z]+)*)`")
    documented = {
        (name, int(row[0]))
        for head, rows in tables(text)
        if head[0] == "status"
        for row in rows
        for name in code.findall(row[1])
    }
    (library,) = (block for block in text.split("\n\n") if "no request leads to them" in block)
    unreached = set(code.findall(library))
    domain = errors_of_the_domain()
    assert unreached < set(domain)
    expected = set(codes_made_in_the_api().items())
    expected |= {(name, problems.problem_of(domain[name]("x")).status) for name in set(domain) - unreached}
    assert documented == expected
    described = (
        schema["properties"] for name, schema in document()["components"]["schemas"].items() if name.endswith("Problem")
    )
    assert documented == {
        (told["type"]["const"].removeprefix(problems.TYPE_PREFIX), told["status"]["const"]) for told in described
    }


def test_every_address_is_documented(store: Store) -> None:
    served = {
        (route.method, re.sub(r"\{address\}", "{namespace}/{name}", route.resource.canonical))
        for route in create_app(store).router.routes()
        if route.resource is not None and route.method != "*"
    }
    documented = set()
    for head, rows in tables(section(HTTP_API, "## Addresses")):
        assert head[0] == "request"
        for row in rows:
            methods: list[str] = []
            for span in SPAN.findall(row[0]):
                method, _, path = span.partition(" ")
                methods.append(method)
                if path:
                    documented |= {(each, path.partition("?")[0]) for each in methods}
                    methods.clear()
            assert not methods, row[0]
    assert documented == served


# --- the package format -------------------------------------------------------------------------------------------


def test_the_example_of_a_manifest_is_one_and_its_members_are_described() -> None:
    text = section(DOCUMENTS["docs/package-format.md"], "## The manifest")
    ((language, example),) = FENCE.findall(text)
    assert language == "json"
    document = json.loads(example.replace("<64 hex>", "ab" * 32))
    assert Manifest.parse(rfc8785.dumps(document)).contents.members[0].name == "logs/run.log"
    described = {name.rpartition(".")[2].removesuffix("[]") for name in first_column(text, "member")}
    inner = [document["subject"][0], document["predicate"], *document["predicate"].values()]
    members = {name for part in inner if isinstance(part, dict) for name in part} - set(document["predicate"]["sizes"])
    members |= set(document)
    assert described <= members
    told = {"predicate", "_type", "package", "completeness"}  # as a whole, or in the names of their members
    assert members - described - told <= {"name", "uri", "version"}  # of a producer, in its row


# --- the log's format ---------------------------------------------------------------------------------------------


def test_every_table_has_its_columns_in_order() -> None:
    for name, table in metadata.tables.items():
        assert first_column(section(EVENT_LOG, f"### `{name}`"), "column") == [column.name for column in table.columns]
    headings = re.findall(r"^### `(\w+)`$", EVENT_LOG, re.MULTILINE)
    assert sorted(headings) == sorted(metadata.tables)


def test_every_event_type_is_documented() -> None:
    headings = re.findall(r"^### `([\w.]+)` version (\d+)$", EVENT_LOG, re.MULTILINE)
    assert [(name, int(version)) for name, version in headings] == list(EVENT_TYPES)


@pytest.mark.parametrize(("name", "version"), EVENT_TYPES)
def test_an_events_example_is_what_the_code_reads_and_writes(name: str, version: int) -> None:
    text = section(EVENT_LOG, f"### `{name}` version {version}")
    ((language, example),) = FENCE.findall(text)
    assert language == "json"
    payload = example.rstrip("\n").encode()
    fields = json.loads(payload)
    assert sorted(first_column(text, "field")) == sorted(fields)
    for entry in fields.get("entries", ()):
        assert sorted(first_column(text, "field of an entry")) == sorted(entry)
    for member in fields.get("members", ()):
        assert sorted(first_column(text, "field of a member")) == sorted(member)
    kind = name.partition(".")[0]
    subject = {
        "name": f"name:{fields.get('namespace')}/{fields.get('name')}",
        "retrievals": "retrievals",
        "object": fields.get("blake3", f"blake3:{'00' * 32}"),
    }.get(kind, f"{kind}:{fields.get('id')}")
    event = decode(1, name, version, subject, payload)
    assert event.subject == subject
    assert encode(event) == payload


def test_the_worked_example_is_right() -> None:
    salt, payload, envelope, leaf = (
        block.rstrip("\n") for _, block in FENCE.findall(section(EVENT_LOG, "### Worked example"))
    )
    commitment = hashlib.sha256(bytes.fromhex(salt) + payload.encode()).hexdigest()
    members = json.loads(envelope)
    assert len(bytes.fromhex(salt)) == SALT_BYTES
    assert members["commitment"] == commitment
    assert json.dumps(members, sort_keys=True, separators=(",", ":")) == envelope
    assert rfc8785.dumps(members) == envelope.encode()
    assert hashlib.sha256(b"\x00" + envelope.encode()).hexdigest() == leaf
    described = first_column(section(EVENT_LOG, "## Envelope and leaf"), "member")
    assert sorted(described) == sorted(members)
    assert f"`{members['log']}`" in section(EVENT_LOG, "### Worked example")
    decode(members["seq"], members["type"], members["version"], members["subject"], payload.encode())


def test_every_schema_revision_is_documented() -> None:
    assert first_column(section(EVENT_LOG, "## Schema revisions"), "revision") == list(REVISIONS)
