"""The safetensors format: a length, a JSON header, and the bytes of the arrays."""

from __future__ import annotations

import io
import math
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.util.atomic import StrPath, check_path

_NAMES = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
_DTYPES = ("<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1", "|b1")
DTYPES = dict(zip(_NAMES, _DTYPES, strict=True))
"""NumPy's dtypes by their names in the format."""
METADATA = "__metadata__"
# In bytes, enough for 80,000 arrays. The format allows ten times as many, but parsed JSON can take
# 35 times its length in memory.
MAX_HEADER = 10_000_000
_DEEPEST = 8
"""Of the brackets in a header, where the format has three. A parser without a limit of its own, as
in a browser, would overflow its stack."""


class FileFormatError(ValueError):
    """Raised for a file whose contents are malformed or don't fit the model.

    The message begins with the file. A file that is missing or can't be read raises `OSError`.

    >>> import minigrad
    >>> minigrad.load(minigrad.__file__)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    minigrad.saving.safetensors.FileFormatError: '...__init__.py' isn't a safetensors file: ...
    """


def dumps(
    arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> list[bytes | memoryview]:
    """Return the parts of a file in order: its length and header, then the buffers.

    The layout (https://huggingface.co/docs/safetensors); all numbers are little endian:

    - 8 bytes: N, the length of the header, an unsigned integer;
    - N bytes: the header, a JSON object in UTF-8, padded with spaces to a multiple of 8:
      ``{"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3],
      "data_offsets": [begin, end]}, ...}``;
    - the rest: the buffers, in C order, without gaps.

    The header keeps the order of `arrays`. The buffers are sorted from the widest dtype to the
    narrowest, so that each is aligned. The buffer of a C-contiguous little-endian array is a view:
    write it before the array changes.

    Raises FileFormatError for a dtype, a name or metadata that the format can't hold.

    >>> start, buffer = dumps({"a": np.array([7, 8], dtype="uint8")})
    >>> start[8:]
    b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}   '
    """
    import json

    _check_metadata(metadata := dict(metadata or {}))
    header: dict[str, Any] = {METADATA: metadata} if metadata else {}
    names = {dtype: name for name, dtype in DTYPES.items()}
    tensors = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in tensors.items():
        _check_name(name)
        code = names.get(array.dtype.str.replace(">", "<"))
        wanted = f"a dtype of {', '.join(DTYPES)} (convert others with .astype)"
        _expect(code is not None, _label(name), wanted, array.dtype)
        header[name] = {"dtype": code, "shape": array.shape}
    buffers = []
    end = 0
    for name, array in sorted(tensors.items(), key=lambda item: -item[1].itemsize):
        little = DTYPES[header[name]["dtype"]]
        buffers.append(np.ascontiguousarray(array, little).reshape(-1).view(np.uint8).data)
        begin, end = end, end + array.nbytes
        header[name]["data_offsets"] = begin, end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    _expect(len(text) <= MAX_HEADER, "header", f"at most {MAX_HEADER} bytes", len(text))
    return [len(text).to_bytes(8, "little") + text, *buffers]


def load(path: StrPath) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the arrays, in the order of the header, and the metadata of a safetensors file.

    The arrays are writable and own their data. None is created before the whole header agrees with
    the size of the file, so loading takes no more memory than the data and the parsed header.

    Raises:
        TypeError: `path` isn't a path.
        FileFormatError: any departure from the format, a header of more than 10 MB, a BOOL byte
            other than 0 and 1, or a dtype that NumPy lacks, such as BF16.
        OSError: the file can't be read.
    """
    source = check_path(path)
    with open(source, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(9)
        length = int.from_bytes(start[:8], "little")
        if start[8:] != b"{" or length > 10 * MAX_HEADER:
            found = f"it begins with {start[:8]!r}" if start else "it is empty"
            raise FileFormatError(f"{source!r} isn't a safetensors file: {found}")
        longest = min(size - 8, MAX_HEADER)
        try:
            wanted = f"at most {longest} bytes in a file of {size} (is the file cut short?)"
            _expect(length <= longest, "header", wanted, length)
            header = _parse(start[8:] + file.read(max(length - 1, 0)))
            _check_metadata(metadata := header.pop(METADATA, {}))
            tensors = {name: _check_tensor(name, entry) for name, entry in header.items()}
            in_file_order = sorted(tensors, key=lambda name: tensors[name][:2])
            position, data_size = 0, size - 8 - length
            for name in in_file_order:  # no gaps or overlaps
                begin, end = tensors[name][:2]
                _expect(begin == position, _label(name), f"data from byte {position} on", begin)
                wanted = f"data that ends by byte {data_size} (is the file cut short?)"
                _expect(end <= data_size, _label(name), wanted, end)
                position = end
            _expect(position == data_size, "file", f"{position} bytes of data", data_size)
            arrays = {name: _read_array(file, name, *tensors[name][2:]) for name in in_file_order}
        except (FileFormatError, RecursionError) as error:
            message = f"{source!r}: {error}; save or copy the file again"
            raise FileFormatError(message) from None
    return {name: arrays[name] for name in tensors}, metadata


def _parse(header: bytes) -> dict[str, Any]:
    import json

    check_depth(header.decode(errors="replace"), _DEEPEST, "header")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for key, value in pairs:
            if key in entries:
                raise ValueError(f"the key {_brief(key)} twice")
            entries[key] = value
        return entries

    try:
        parsed: dict[str, Any] = json.loads(header.decode(), object_pairs_hook=unique)
    except ValueError as error:
        raise FileFormatError(f"header: expected JSON in UTF-8, got {error}") from None
    return parsed


def check_depth(text: str, most: int, where: str) -> None:
    """Refuse JSON whose brackets are nested too deeply, before it is parsed.

    >>> check_depth('{"a": [["[[["]]}', 2, "header")
    Traceback (most recent call last):
    ...
    minigrad.saving.safetensors.FileFormatError: header: expected brackets 2 deep at most, got 3
    """
    depth = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*+"|([][{}])', text):
        depth += {None: 0, "[": 1, "{": 1, "]": -1, "}": -1}[found[1]]
        _expect(depth <= most, where, f"brackets {most} deep at most", depth)


def _check_tensor(name: str, entry: Any) -> tuple[int, int, tuple[int, ...], np.dtype[Any]]:
    """Return where the buffer begins and ends, the shape and the dtype."""
    _check_name(name)
    label = _label(name)
    whole = isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}
    _expect(whole, label, "an object of dtype, shape and data_offsets", entry)
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    known = isinstance(code, str) and code in DTYPES
    wanted = f"a dtype of {', '.join(DTYPES)}, as no other is supported (convert it, say to F32)"
    _expect(known, label, wanted, code)
    dtype = np.dtype(DTYPES[code])
    valid = _are_counts(shape) and len(shape) <= 64  # NumPy's limit
    _expect(valid, label, "a shape of up to 64 integers, none negative", shape)
    # NumPy's limit holds for the other axes too if one has length 0.
    extent = math.prod(axis or 1 for axis in shape) * dtype.itemsize
    _expect(extent <= sys.maxsize, label, f"a shape of up to {sys.maxsize} bytes", shape)
    valid = _are_counts(offsets) and len(offsets) == 2
    _expect(valid, label, "data_offsets of two integers, none negative", offsets)
    begin, end = offsets
    nbytes = math.prod(shape) * dtype.itemsize
    wanted = f"data_offsets {nbytes} bytes apart for {code} of shape {shape}"
    _expect(end - begin == nbytes, label, wanted, offsets)
    return begin, end, tuple(shape), dtype


def _read_array(
    file: io.BufferedIOBase, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    array = np.empty(shape, dtype)
    raw = array.reshape(-1).view(np.uint8)
    count = file.readinto(raw.data)
    _expect(count == raw.size, _label(name), f"{raw.size} bytes (the file shrank)", count)
    if array.dtype == np.bool_:
        largest = int(raw.max(initial=0))
        _expect(largest <= 1, _label(name), "BOOL bytes of 0 or 1", largest)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check_name(name: object) -> None:
    wanted = f"a name of Unicode text other than {METADATA!r}"
    _expect(_is_text(name) and name != METADATA, _label(name), wanted, name)


def _check_metadata(metadata: Any) -> None:
    _expect(isinstance(metadata, dict), METADATA, "an object", metadata)
    for key, value in metadata.items():
        _expect(_is_text(key) and _is_text(value), METADATA, "text to text", {key: value})


def _is_text(value: object) -> bool:
    # JSON can hold half a surrogate pair, UTF-8 can't.
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value


def _are_counts(values: object) -> bool:
    # isinstance would accept a bool.
    return isinstance(values, list) and all(type(n) is int and n >= 0 for n in values)


def _expect(holds: bool, where: str, expected: str, got: object) -> None:
    if not holds:
        raise FileFormatError(f"{where}: expected {expected}, got {_brief(got)}")


def _label(name: object) -> str:
    return f"tensor {_brief(name)}"


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
