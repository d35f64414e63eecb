"""`package`: packages as files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from artifactstore.cli.progress import bar
from artifactstore.cli.target import naming


@click.group()
def package() -> None:
    """Work with packages: sealed sets of files with a manifest."""


@package.command("verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one document.")
def verify(file: Path, as_json: bool) -> None:
    """Check an exported package: a bag (zip, tar or directory) or an OCI image layout (tar or directory).

    Neither a server nor a root is needed, and nothing is unpacked. Every file is digested and compared with the
    package's manifest. What is wrong is one line each, with exit status 1. Compare the manifest's digest, which is
    printed, with the one that you know the package by.
    """
    from artifactstore.domain.documents import identity_document
    from artifactstore.manifests.containers import printable
    from artifactstore.manifests.verification import verify_export

    with bar(None if file.is_dir() else file.stat().st_size, "checked", quiet=as_json) as shown:
        report = verify_export(file, shown.update)
    contents = None if report.manifest is None else report.manifest.contents
    identity = report.manifest_identity
    document = {
        "verified": not report.findings,
        "form": report.form,
        "manifest": None if identity is None else identity_document(identity),
        "namespace": None if contents is None else contents.namespace,
        "name": None if contents is None else contents.name,
        "members": None if contents is None else len(contents.members),
        "findings": [{"path": finding.path, "problem": finding.problem} for finding in report.findings],
    }
    lines = [str(finding) for finding in report.findings]
    if not lines and contents is not None and identity is not None:
        what = f"{printable(f'{contents.namespace}/{contents.name}')}, {len(contents.members)} members"
        lines.append(f"ok {identity.sha256} {identity.blake3} {what}")
    with naming("standard output"):
        click.echo(json.dumps(document) if as_json else "\n".join(lines))
    if report.findings:
        raise click.ClickException(f"{file} is not the package that its manifest describes")
