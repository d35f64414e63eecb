from __future__ import annotations

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.artifact import ArtifactMetadata
from artifactstore.domain.errors import InvalidMetadataError
from artifactstore.domain.provenance import Input, InputKind, check_inputs, inputs_of, parse_input

ID = "01a20e21-fa77-7700-bbac-8d0a11f0855f"
BLAKE3, SHA256 = "blake3:" + "ab" * 32, "sha256:" + "cd" * 32
INPUTS = st.one_of(
    st.builds(Input, st.just(InputKind.ARTIFACT), st.binary(min_size=16, max_size=16)),
    st.builds(Input, st.sampled_from([InputKind.BLAKE3, InputKind.SHA256]), st.binary(min_size=32, max_size=32)),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["inputs", "digest", "artifact", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
NO_INPUT: list[object] = [
    *(None, 7, [], {}, "", "nothing", "blake3:", "blake3:ab", "md5:" + "ab" * 16, ID.replace("-", ""), "{" + ID + "}"),
    *({"digest": BLAKE3, "artifact": ID}, {"digest": 7}, {"name": BLAKE3}, {"digest": {"digest": BLAKE3}}),
    *(BLAKE3 + " ", "urn:uuid:" + ID, ID[:-1] + "\N{FULLWIDTH DIGIT ONE}"),
]


def written(*items: object) -> str:
    return json.dumps({"inputs": items})


@given(INPUTS)
def test_an_input_is_read_as_it_is_written(source: Input) -> None:
    assert parse_input(str(source)) == source
    assert parse_input(str(source).upper().replace("BLAKE3", "blake3").replace("SHA256", "sha256")) == source
    assert str(parse_input(str(source))) == str(source)


@given(st.lists(INPUTS, max_size=5))
def test_inputs_are_read_once_each_in_their_order_in_every_form(sources: list[Input]) -> None:
    items: list[object] = []
    for source in sources:
        key = "artifact" if source.kind is InputKind.ARTIFACT else "digest"
        items += [str(source), {key: str(source), "role": "base"}]
    assert inputs_of(written(*items)) == tuple(dict.fromkeys(sources))
    check_inputs(written(*items))


@pytest.mark.parametrize("provenance", [None, BLAKE3, "{}", '{"x": 1}', '{"inputs": []}', written(BLAKE3, SHA256, ID)])
def test_what_is_no_mistake_is_taken(provenance: str | None) -> None:
    check_inputs(provenance)


@pytest.mark.parametrize("item", NO_INPUT, ids=repr)
def test_recording_refuses_with_its_place_what_folding_passes_over(item: object) -> None:
    provenance = written(BLAKE3, item, ID)
    assert [str(source) for source in inputs_of(provenance)] == [BLAKE3, ID]
    with pytest.raises(InvalidMetadataError) as caught:
        check_inputs(provenance)
    assert caught.value.field == "provenance.inputs[1]"
    with pytest.raises(InvalidMetadataError):
        ArtifactMetadata(provenance=provenance).checked()


@pytest.mark.parametrize("inputs", [None, BLAKE3, {"digest": BLAKE3}, 7])
def test_inputs_that_are_no_array_are_refused_and_passed_over(inputs: object) -> None:
    provenance = json.dumps({"inputs": inputs})
    assert inputs_of(provenance) == ()
    with pytest.raises(InvalidMetadataError) as caught:
        check_inputs(provenance)
    assert caught.value.field == "provenance.inputs"


@pytest.mark.parametrize("text", ["", "nothing", "{", '{"inputs": [NaN]}', "{" * 2000, '{"inputs":' + "[" * 500])
def test_provenance_that_nobody_can_read_has_no_inputs(text: str) -> None:
    assert inputs_of(text) == ()


@given(JSON)
def test_folding_never_fails_and_reads_all_that_recording_takes(document: object) -> None:
    provenance = json.dumps({"inputs": document})
    found = inputs_of(provenance)
    try:
        check_inputs(provenance)
    except InvalidMetadataError:
        return
    assert isinstance(document, list)
    assert bool(found) == bool(document)


def test_an_artifact_is_sixteen_bytes_and_an_object_is_thirty_two() -> None:
    assert parse_input(ID) == Input(InputKind.ARTIFACT, UUID(ID).bytes)
    assert parse_input(SHA256) == Input(InputKind.SHA256, b"\xcd" * 32)
