"""Records as bytes against Google's own Protocol Buffers and TFDS's own reader."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_datasets.proto import tf_example_pb2

from mole_jax.data.tf_example import decode, encode

VALUES = st.one_of(st.binary(max_size=300), st.integers(0, 2**63 - 1), st.floats(width=32, allow_nan=False))
FEATURES = st.dictionaries(st.text(min_size=1, max_size=200), VALUES, min_size=1, max_size=6)


def by_protobuf(features):
    example = tf_example_pb2.Example()
    for name, value in features.items():
        feature = example.features.feature[name]
        if isinstance(value, bytes):
            feature.bytes_list.value.append(value)
        elif isinstance(value, int):
            feature.int64_list.value.append(value)
        else:
            feature.float_list.value.append(value)
    return example.SerializeToString(deterministic=True)


@given(FEATURES)
def test_protobuf_reads_what_we_write(features):
    theirs = by_protobuf(features)  # may have another order where one name begins another
    assert tf_example_pb2.Example.FromString(encode(features)) == tf_example_pb2.Example.FromString(theirs)
    assert len(encode(features)) == len(theirs)


@given(FEATURES)
def test_what_protobuf_wrote_is_read(features):
    assert decode(by_protobuf(features)) == decode(encode(features)) == features


def test_the_bytes_are_those_of_protobuf_in_the_order_of_the_names():
    ours = {"image": bytes(range(256)) * 588, "label": 1, "age": float("nan"), "dx": b"mel", "sex": b""}
    assert encode(ours) == encode(dict(reversed(ours.items()))) == by_protobuf(ours)
    assert np.isnan(decode(encode(ours))["age"])


def test_a_records_bytes_are_not_copied():
    record = encode({"image": b"pixels"})
    assert decode(record)["image"].obj is record


RECORD = encode({"image": b"x" * 200, "label": 3})


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (RECORD[:-1], rf"a record of {len(RECORD) - 1} bytes ends before its field at byte 0 does"),
        (b"", "a record of 0 bytes is no tf.train.Example: index out of range"),
        (b"\x08" + RECORD[1:], "byte 0 of a record is 8, where tf.train.Example has 10"),
        (
            by_protobuf({"label": 1}).replace(b"label\x12\x05\x1a\x03\n\x01", b"label\x12\x05\x22\x03\n\x01"),
            "of kind 34",
        ),
    ],
)
def test_what_is_no_example_is_refused(record, message):
    with pytest.raises(ValueError, match=message):
        decode(record)


def test_several_values_are_refused():
    example = tf_example_pb2.Example()
    example.features.feature["labels"].bytes_list.value.extend([b"a", b"b"])
    with pytest.raises(ValueError, match="feature 'labels' has several values"):
        decode(example.SerializeToString())


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="-1 is negative"):
        encode({"label": -1})
