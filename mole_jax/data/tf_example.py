"""`tf.train.Example` as bytes: the records that TFDS reads, with one value a feature.

As much of Protocol Buffers as such a record needs (https://protobuf.dev/programming-guides/encoding); the messages are
those of tensorflow/core/example/example.proto and feature.proto. TFDS's own reader and writer copy an image's bytes
several times; ours copy them once.
"""

import struct
from collections.abc import Mapping
from typing import Any, Final

# Tags: the number of a field, times eight, plus 2 for "a length and so many bytes". All nesting is of this kind.
FEATURES: Final = 0x0A  # of Example
ENTRY: Final = 0x0A  # of Features, a map
KEY, FEATURE = 0x0A, 0x12  # of an entry
BYTES, FLOATS, INTEGERS = 0x0A, 0x12, 0x1A  # of Feature: which list it is
VALUE: Final = 0x0A  # of all three lists


def encode(features: Mapping[str, bytes | float]) -> bytes:
    """Encodes one record.

    Args:
        features: name -> value: bytes, an int of at least 0, or a float, which is stored in single precision.
    """
    entries: list[bytes] = []
    for name, value in sorted(features.items()):
        entries += _nest(ENTRY, [*_nest(KEY, [name.encode()]), *_nest(FEATURE, _feature(value))])
    return b"".join(_nest(FEATURES, entries))


def decode(record: bytes) -> dict[str, Any]:
    """Decodes every feature of a record: name -> int, float, or a memoryview of the record's bytes.

    Raises:
        ValueError: the bytes are not an Example, or a feature has several values.
    """
    try:
        return _decode(record)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"a record of {len(record)} bytes is no tf.train.Example: {error}") from error


def _feature(value: bytes | float) -> list[bytes]:
    if isinstance(value, bytes):
        return _nest(BYTES, _nest(VALUE, [value]))
    if isinstance(value, int):
        return _nest(INTEGERS, _nest(VALUE, [_varint(value)]))
    return _nest(FLOATS, _nest(VALUE, [struct.pack("<f", value)]))


def _nest(tag: int, parts: list[bytes]) -> list[bytes]:
    """A field that holds the parts; the caller joins them, so that an image's bytes are copied only once."""
    return [bytes((tag,)), _varint(sum(map(len, parts))), *parts]


def _varint(value: int) -> bytes:
    """A varint: seven bits a byte, the lowest first; the eighth bit says that more bytes follow."""
    if value < 0:
        raise ValueError(f"{value} is negative")
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _decode(record: bytes) -> dict[str, Any]:
    view = memoryview(record)
    features: dict[str, Any] = {}
    position, end = _open(record, 0, FEATURES)
    while position < end:
        start, position = _open(record, position, ENTRY)
        start, stop = _open(record, start, KEY)
        name = record[start:stop].decode()
        start, _ = _open(record, stop, FEATURE)
        kind = record[start]
        start, _ = _open(record, start, kind)
        start, stop = _open(record, start, VALUE)
        if stop != position:
            raise ValueError(f"feature {name!r} has several values")
        features[name] = _value(record, view[start:stop], kind, start)
    return features


def _value(record: bytes, value: memoryview, kind: int, start: int) -> Any:
    if kind == BYTES:
        return value
    if kind == FLOATS:
        return float(struct.unpack("<f", value)[0])
    if kind == INTEGERS:
        return _read_varint(record, start)[0]
    raise ValueError(f"a feature of kind {kind} is none of bytes, floats and integers")


def _open(record: bytes, position: int, tag: int) -> tuple[int, int]:
    """Where the content of a field begins and ends."""
    if record[position] != tag:
        raise ValueError(f"byte {position} of a record is {record[position]}, where tf.train.Example has {tag}")
    length, start = _read_varint(record, position + 1)
    if start + length > len(record):
        raise ValueError(f"a record of {len(record)} bytes ends before its field at byte {position} does")
    return start, start + length


def _read_varint(record: bytes, position: int) -> tuple[int, int]:
    """The number, and the position behind it."""
    value = shift = 0
    while (byte := record[position]) > 127:
        value |= (byte & 127) << shift
        shift += 7
        position += 1
    return value | byte << shift, position + 1
