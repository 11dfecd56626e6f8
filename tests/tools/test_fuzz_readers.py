"""No reader of what others wrote fails in another way than it says (`make fuzz` searches longer, led by what runs)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.markers.format import BadMarker, parse_body
from tools.fuzz.readers import READERS, SAMPLES

_KEYS = ["format", "vm", "started", "size", "links", "files", "written", "passes", "confirmed"]
_TEXTS = st.text(max_size=8) | st.just("2026-11-22T01:00:00Z")
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS


def near(sample: bytes) -> st.SearchStrategy[bytes]:
    """The sample with one part replaced."""
    places = st.tuples(st.integers(0, len(sample)), st.integers(0, 12), st.binary(max_size=12))
    return places.map(lambda one: sample[: one[0]] + one[2] + sample[one[0] + one[1] :])


@pytest.mark.parametrize("name", READERS)
def test_a_reader_fails_as_it_says_or_not_at_all(name: str) -> None:
    @given(st.one_of(st.binary(max_size=200), *map(near, SAMPLES[name])))
    def reads(data: bytes) -> None:
        READERS[name](data)

    for sample in SAMPLES[name]:
        READERS[name](sample)
    reads()


@pytest.mark.parametrize("name", ["marker", "manifests", "exports"])
@given(keys=st.dictionaries(st.sampled_from(_KEYS), _SCALARS))
def test_json_that_lies_is_no_crash(name: str, keys: dict[str, object]) -> None:
    READERS[name](json.dumps({"format": 1, **keys}).encode())
    READERS[name](json.dumps({"format": 1, "links": [keys]}).encode())


@pytest.mark.parametrize("levels", [64, 900, 990, 100_000])
def test_a_marker_nested_deep_is_bad_however_much_of_it_python_could_read(levels: int) -> None:
    """Who reads it again from the state stands deeper in calls than who read it first."""
    with pytest.raises(BadMarker, match="nested too deep"):
        parse_body(b'{"x":' + b"[" * levels + b"]" * levels + b"}")
    assert parse_body(b'{"x":' + b"[" * 60 + b"]" * 60 + b"}").extra
