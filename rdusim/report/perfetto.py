"""A timeline as Perfetto's protobuf (protos/perfetto/trace/trace_packet.proto), written directly.

Names, categories and the names of arguments are interned. A message is a sequence of fields: number and wire type as a
varint, then a varint, eight bytes, or a length and so many bytes (protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from rdusim.report.timeline_rows import Ints

if TYPE_CHECKING:
    from rdusim.report.timeline import Argument, Timeline, Track

_SEQUENCE: Final = 1  # trusted_packet_sequence_id: one writer made all of it
_CLEARED: Final = 1  # SEQ_INCREMENTAL_STATE_CLEARED
_INTERNED: Final = 2  # SEQ_NEEDS_INCREMENTAL_STATE
_BEGIN: Final = 1
_END: Final = 2
_COUNTER: Final = 4
_EXPLICIT: Final = 3  # order of children: by their rank
_HEADINGS: Final = {"stage": "stages", "load": "loads", "store": "stores", "resource": "resources", "buffer": "buffers"}


def perfetto_bytes(timeline: Timeline) -> bytes:
    """The whole file: descriptors of rows, then slices and counters in order of time."""
    return b"".join((*_descriptors(timeline), _interned(timeline), *_events(timeline)))


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; the high bit says that more follow."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def varints(values: Ints) -> list[bytes]:
    """The same for a whole column, all as long as the longest: bytes that say only "more" do not change a value."""
    width = max(1, -(-int(values.max(initial=0)).bit_length() // 7))
    digits = values[:, None] >> (7 * np.arange(width, dtype=np.int64)) & 127
    digits[:, :-1] |= 128
    packed = digits.astype(np.uint8).tobytes()
    return [packed[at : at + width] for at in range(0, len(packed), width)]


def _whole(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def _double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _packet(*content: bytes) -> bytes:
    """Trace.packet, of the one sequence."""
    return _bytes(1, b"".join((*content, _whole(10, _SEQUENCE))))


def _descriptors(timeline: Timeline) -> Iterator[bytes]:
    """Groups, in them a heading for each kind of row that may have many, and the rows; all in the order given."""
    yield _descriptor(0, None, "", 0)
    for number, name in enumerate(timeline.groups):
        yield _descriptor(_group(number), 0, name, number)
    headings: dict[tuple[int, str], int] = {}
    for number, track in enumerate(timeline.tracks):
        parent = _group(track.group)
        if track.kind in _HEADINGS:
            heading = (track.group, track.kind)
            if heading not in headings:
                headings[heading] = 1 + len(timeline.groups) + len(timeline.tracks) + len(headings)
                yield _descriptor(headings[heading], parent, _HEADINGS[track.kind], number)
            parent = headings[heading]
        yield _descriptor(_uuid(timeline, number), parent, track.name, number, track)


def _group(number: int) -> int:
    return 1 + number


def _uuid(timeline: Timeline, track: int) -> int:
    return 1 + len(timeline.groups) + track


def _descriptor(uuid: int, parent: int | None, name: str, rank: int, track: Track | None = None) -> bytes:
    """TrackDescriptor: 1 uuid, 2 name, 5 parent_uuid, 8 counter (6 unit_name), 11 child_ordering, 12 rank."""
    fields = [_whole(1, uuid), *([_text(2, name)] if name else []), _whole(11, _EXPLICIT), _whole(12, rank)]
    if parent:
        fields.append(_whole(5, parent))
    if track is not None and track.unit is not None:
        fields.append(_bytes(8, _text(6, track.unit)))
    return _packet(_bytes(60, b"".join(fields)))


def _interned(timeline: Timeline) -> bytes:
    """InternedData: 1 event_categories, 2 event_names, 3 debug_annotation_names; each 1 iid, 2 name. Numbers from 1."""
    tables = (1, _categories(timeline)), (2, _names(timeline)), (3, _argument_names(timeline.arguments))
    entries = (
        _bytes(field, _whole(1, number) + _text(2, name))
        for field, names in tables
        for number, name in enumerate(names, start=1)
    )
    return _packet(_bytes(12, b"".join(entries)), _whole(13, _CLEARED))


def _categories(timeline: Timeline) -> list[str]:
    return list(dict.fromkeys(category for category, _ in timeline.labels))


def _names(timeline: Timeline) -> list[str]:
    return list(dict.fromkeys(name for _, name in timeline.labels))


def _argument_names(arguments: Iterable[Mapping[str, Argument]]) -> list[str]:
    return list(dict.fromkeys(name for said in arguments for name in said))


def _events(timeline: Timeline) -> list[bytes]:
    """Begin and end of every slice and every sample, by time; at one time in the order of their row."""
    slices, samples = timeline.slices, timeline.samples
    begins, begun = _begins(timeline)
    ends = [
        _packet_of(b"", _whole(9, _END) + _whole(11, _uuid(timeline, number))) for number in range(len(timeline.tracks))
    ]
    values = _values(timeline)
    # The rows of a slice stand next to each other, so that one which takes no time begins before it ends.
    which = np.concatenate(
        (
            np.stack((begun, len(begins) + slices.track), axis=1).reshape(-1),
            len(begins) + len(ends) + np.arange(len(values)),
        )
    )
    times = np.concatenate((np.stack((slices.start, slices.end), axis=1).reshape(-1), samples.time))
    order = np.argsort(times, kind="stable")
    stamps = varints(times[order])
    width = len(stamps[0]) if stamps else 1
    contents = [*begins, *ends, *values]
    by_length = {length: _head(length, width) for length in set(map(len, contents))}
    heads = [by_length[len(content)] for content in contents]
    kinds = which[order].tolist()
    return [part for kind, stamp in zip(kinds, stamps, strict=True) for part in (heads[kind], stamp, contents[kind])]


def _begins(timeline: Timeline) -> tuple[list[bytes], Ints]:
    """TYPE_SLICE_BEGIN packets of each combination of row, label and arguments that there is, and which a slice has."""
    slices = timeline.slices
    categories = {name: number for number, name in enumerate(_categories(timeline), start=1)}
    names = {name: number for number, name in enumerate(_names(timeline), start=1)}
    known = {name: number for number, name in enumerate(_argument_names(timeline.arguments), start=1)}
    said = [b"".join(_annotation(known[name], value) for name, value in each.items()) for each in timeline.arguments]
    keys, kind = np.unique(np.stack((slices.track, slices.label, slices.argument)), axis=1, return_inverse=True)
    found = []
    for track, label, argument in keys.T.tolist():
        category, name = timeline.labels[label]
        event = _whole(9, _BEGIN) + _whole(11, _uuid(timeline, track))
        event += _whole(3, categories[category]) + _whole(10, names[name])
        found.append(_packet_of(said[argument] if argument >= 0 else b"", event))
    return found, kind.reshape(-1)


def _values(timeline: Timeline) -> list[bytes]:
    """TYPE_COUNTER packets of all samples. Those of one row differ in their last eight bytes of event alone."""
    flags = _whole(13, _INTERNED)
    before = [
        _packet_of(_double(44, 0.0), _whole(9, _COUNTER) + _whole(11, _uuid(timeline, number)))[: -8 - len(flags)]
        for number in range(len(timeline.tracks))
    ]
    packed = timeline.samples.value.astype("<f8").tobytes()
    values = (packed[at : at + 8] for at in range(0, len(packed), 8))
    return [before[track] + value + flags for track, value in zip(timeline.samples.track.tolist(), values, strict=True)]


def _annotation(name: int, value: Argument) -> bytes:
    """TrackEvent.debug_annotations: 1 name_iid, and 3 uint_value, 5 double_value or 6 string_value."""
    if isinstance(value, str):
        said = _text(6, value)
    else:
        said = _whole(3, value) if isinstance(value, int) and value >= 0 else _double(5, float(value))
    return _bytes(4, _whole(1, name) + said)


def _packet_of(annotations: bytes, event: bytes) -> bytes:
    """What follows the time in a packet: 10 sequence, 11 track_event, 13 flags."""
    return _whole(10, _SEQUENCE) + _bytes(11, event + annotations) + _whole(13, _INTERNED)


def _head(length: int, width: int) -> bytes:
    """What stands before the time (`width` bytes) of a packet that has `length` more: Trace.packet, its size."""
    number = varint(8 << 3)
    return varint(1 << 3 | 2) + varint(len(number) + width + length) + number
