"""Writes the published answers as a C header, for programs that have no files to read: `vectors.py vectors.h`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

VECTORS = Path(__file__).parents[1] / "vectors"


def initialiser(data: bytes) -> str:
    return "{" + ",".join(map(str, data or b"\0")) + "}"


def header() -> Iterator[str]:
    blake3 = json.loads((VECTORS / "blake3.json").read_text())["cases"]
    sha256 = json.loads((VECTORS / "sha256.json").read_text())
    messages = [(bytes.fromhex(case["message"]), case["digest"]) for case in sha256["short"] + sha256["long"]]
    longest = max(len(message) for message, _ in messages)
    yield "#include <stddef.h>\n#include <stdint.h>"
    yield "static const struct { size_t length; uint8_t digest[32]; } blake3_vectors[] = {"
    for case in blake3:
        yield f"{{{case['input_len']}, {initialiser(bytes.fromhex(case['hash'])[:32])}}},"
    yield "};\nenum { BLAKE3_VECTORS = sizeof blake3_vectors / sizeof blake3_vectors[0] };"
    yield f"static const struct {{ size_t length; uint8_t digest[32], message[{longest}]; }} sha256_vectors[] = {{"
    for message, digest in messages:
        yield f"{{{len(message)}, {initialiser(bytes.fromhex(digest))}, {initialiser(message)}}},"
    yield "};\nenum { SHA256_VECTORS = sizeof sha256_vectors / sizeof sha256_vectors[0] };\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("\n".join(header()))
