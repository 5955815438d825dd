"""The safetensors codec: round trips, the official package in both directions, malformed files."""

import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from minigrad.saving.safetensors import DTYPES, FileFormatError, dumps, load

Arrays = dict[str, NDArray[Any]]


def encode(arrays: Arrays, metadata: dict[str, str] | None = None) -> bytes:
    return b"".join(dumps(arrays, metadata))


def loads(data: bytes) -> tuple[Arrays, dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.safetensors")
        path.write_bytes(data)
        return load(path)


def file_of(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: Any = "F32", shape: Any = (), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def assert_same(actual: Arrays, expected: Arrays) -> None:
    assert list(actual) == list(expected)
    for name, array in expected.items():
        assert_array_equal(actual[name], array, strict=True)


def every_dtype() -> Arrays:
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 2, size=(3, 5))
    return {name: numbers.astype(dtype) for name, dtype in reversed(DTYPES.items())}


SMALL = encode(
    {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "mask": np.array([True, False])},
    {"epoch": "3"},
)
HEADER_END = 8 + int.from_bytes(SMALL[:8], "little")


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3), (1,) * 64], ids=str)
def test_round_trip_keeps_dtype_shape_and_values(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    arrays, metadata = loads(encode({"a": array}))
    assert_same(arrays, {"a": array})
    assert metadata == {}


@pytest.mark.parametrize(
    "array",
    [
        np.array([-0.0, np.nan, np.inf, 5e-324]),
        np.array([-(2**63), 2**63 - 1]),
        np.array([2**64 - 1], np.uint64),
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12)[::-2],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.broadcast_to(np.array(7, np.float32), (2, 3)),
    ],
    ids=["special", "int64", "uint64", "transposed", "reversed", "fortran", "broadcast"],
)
def test_round_trip_keeps_every_bit(array: NDArray[Any]) -> None:
    before = array.copy()
    copy = loads(encode({"a": array}))[0]["a"]
    assert copy.dtype == array.dtype
    assert copy.shape == array.shape
    assert copy.tobytes() == before.tobytes()
    assert array.tobytes() == before.tobytes()


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint64])
def test_big_endian_arrays_come_back_native(dtype: type[np.generic]) -> None:
    native = np.arange(5).astype(dtype)
    big = native.astype(np.dtype(dtype).newbyteorder(">"))
    assert encode({"a": big}) == encode({"a": native})
    assert_array_equal(loads(encode({"a": big}))[0]["a"], native, strict=True)


def test_names_and_metadata_keep_their_order() -> None:
    arrays: Arrays = {
        "b": np.array([1], np.int8),
        "": np.array([2], np.float64),
        'ü"\\\n𝄞': np.array([3], np.int8),
        "a": np.array([4], np.float32),
    }
    metadata = {"z": "", "": "ü\x00𝄞", "a": '{"json": 1}'}
    actual, actual_metadata = loads(encode(arrays, metadata))
    assert_same(actual, arrays)
    assert list(actual_metadata.items()) == list(metadata.items())


def test_empty_file_round_trip() -> None:
    assert loads(encode({})) == ({}, {})


def test_layout_is_aligned_without_gaps() -> None:
    arrays: Arrays = {
        "byte": np.array([1], np.int8),
        "double": np.array([2], np.float64),
        "single": np.array([3], np.float32),
    }
    data = encode(arrays)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    assert data[8:9] == b"{"
    assert data[8 : 8 + length].rstrip(b" ").endswith(b"}")
    assert {name: item["data_offsets"] for name, item in header.items()} == {
        "byte": [12, 13],
        "double": [0, 8],
        "single": [8, 12],
    }
    assert data[8 + length :] == b"".join(arrays[n].tobytes() for n in ("double", "single", "byte"))


def test_contiguous_arrays_are_written_without_a_copy() -> None:
    array = np.zeros(3)
    _, buffer = dumps({"a": array})
    assert np.shares_memory(np.frombuffer(buffer), array)


def test_loaded_arrays_are_writable_and_own_their_data(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(SMALL)
    for arrays, _ in (load(path), load(str(path)), load(os.fsencode(path))):  # type: ignore[arg-type]
        assert_same(arrays, loads(SMALL)[0])
        for array in arrays.values():
            assert array.flags.owndata
            assert array.flags.writeable
            assert array.flags.c_contiguous


OTHER = "isn't a safetensors file: it begins with b'"
FLOAT = bytes(4)
BAD = {
    "empty": (b"", "isn't a safetensors file: it is empty"),
    "seven bytes": (b"\2" + bytes(6), OTHER),
    "length beyond any header": (b"\xff" * 8 + b"{}", OTHER),
    "length beyond the file": (
        (10**7).to_bytes(8, "little") + b"{}",
        r"at most 2 bytes in a file of 10 \(is the file cut short\?\), got 10000000",
    ),
    "length one too many": ((3).to_bytes(8, "little") + b"{}", "at most 2 bytes"),
    "length of 0": (bytes(8) + b"{}", "JSON in UTF-8"),
    "no header": (file_of(b""), OTHER),
    "leading space": (file_of(b" {}"), OTHER),
    "byte order mark": (file_of(b"\xef\xbb\xbf{}"), OTHER),
    "invalid UTF-8": (file_of(b'{"\xff":1}'), "JSON in UTF-8"),
    "UTF-16": (file_of("{}".encode("utf-16-le")), "JSON in UTF-8"),
    "invalid JSON": (file_of(b'{"a":}'), "JSON in UTF-8"),
    "two values": (file_of(b"{}{}"), "JSON in UTF-8"),
    "control character": (file_of(b'{"__metadata__":{"a":"\n"}}'), "JSON in UTF-8"),
    "list": (file_of([]), OTHER),
    "number": (file_of(1), OTHER),
    "tensor twice": (
        file_of(b'{"a":%b,"a":%b}' % ((json.dumps(entry()).encode(),) * 2), FLOAT),
        "the key 'a' twice",
    ),
    "metadata key twice": (file_of(b'{"__metadata__":{"k":"1","k":"1"}}'), "the key 'k' twice"),
    "metadata twice": (file_of(b'{"__metadata__":{},"__metadata__":{}}'), "'__metadata__' twice"),
    "field twice": (
        file_of(b'{"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}', FLOAT),
        "the key 'dtype' twice",
    ),
    "escaped key twice": (file_of(b'{"__metadata__":{"k":"","\\u006b":""}}'), "'k' twice"),
    "half a surrogate pair in a name": (file_of({"\ud800": entry()}, FLOAT), "Unicode text"),
    "half a surrogate pair in metadata": (file_of({"__metadata__": {"a": "\udfff"}}), "text to"),
    "metadata a list": (file_of({"__metadata__": []}), r"__metadata__: expected an object"),
    "metadata null": (file_of({"__metadata__": None}), r"__metadata__: expected an object"),
    "metadata number": (file_of({"__metadata__": {"epoch": 3}}), r"text to text, got {'epoch': 3}"),
    "brackets nested": (file_of(b'{"a":' + 100_000 * b"[" + b"}"), "header: .* 8 deep"),
    "objects nested": (file_of(100_000 * b'{"a":'), "header: .* 8 deep"),
    "metadata nested": (file_of({"__metadata__": {"a": {"b": "c"}}}), "text to text"),
    "entry a list": (file_of({"a": []}), r"an object of dtype, shape and data_offsets, got \[\]"),
    "entry without shape": (file_of({"a": {"dtype": "F32", "data_offsets": [0, 4]}}), "an object"),
    "entry of a newer kind": (file_of({"a": entry() | {"scale": 2}}, FLOAT), "an object of dtype"),
    "dtype unknown": (file_of({"a": entry("f32")}, FLOAT), "a dtype of F64, .* got 'f32'"),
    "dtype BF16": (
        file_of({"a": entry("BF16", [2])}, FLOAT),
        r"no other is supported \(convert it, say to F32\), got 'BF16'",
    ),
    "dtype a list": (file_of({"a": entry(["F32"])}, FLOAT), "a dtype of"),
    "dtype null": (file_of({"a": entry(None)}, FLOAT), "a dtype of"),
    "shape a number": (file_of({"a": entry(shape=1)}, FLOAT), "up to 64 integers"),
    "shape null": (file_of({"a": entry(shape=None)}, FLOAT), "up to 64 integers"),
    "shape negative": (file_of({"a": entry(shape=[-1, -1])}, FLOAT), "none negative, got .-1, -1"),
    "shape float": (file_of({"a": entry(shape=[1.0])}, FLOAT), r"integers.* got .1\.0"),
    "shape bool": (file_of({"a": entry(shape=[True])}, FLOAT), r"integers.* got .True"),
    "shape text": (file_of({"a": entry(shape=["1"])}, FLOAT), "integers"),
    "shape NaN": (file_of({"a": entry(shape=[float("nan")])}, FLOAT), "integers.* got .nan"),
    "shape nested": (file_of({"a": entry(shape=[[1]])}, FLOAT), "integers"),
    "65 axes": (file_of({"a": entry(shape=[1] * 65)}, FLOAT), "up to 64 integers"),
    "shape huge": (file_of({"a": entry(shape=[2**62])}, FLOAT), "up to 9223372036854775807 bytes"),
    "shape wraps to 4": (
        file_of({"a": entry(shape=[2**32, 2**32 + 1])}, FLOAT),
        "up to 9223372036",
    ),
    "shape wraps to 0": (
        file_of({"a": entry(shape=[2**32] * 2, offsets=[0, 0])}),
        "up to 92233720",
    ),
    "shape empty but huge": (
        file_of({"a": entry(shape=[0, 2**62, 2**62], offsets=[0, 0])}),
        "up to 9223372036854775807 bytes",
    ),
    "shape of 4000 digits": (
        file_of({"a": entry(shape=[10**4000] * 64)}, FLOAT),
        "up to 922337203",
    ),
    "shape of 5000 digits": (
        file_of(b'{"a":{"dtype":"F32","shape":[1%b],"data_offsets":[0,4]}}' % (b"0" * 5000), FLOAT),
        "JSON in UTF-8",
    ),
    "shape too small": (file_of({"a": entry(shape=[0])}, FLOAT), "0 bytes apart for F32 of shape"),
    "shape too large": (file_of({"a": entry(shape=[2])}, FLOAT), "8 bytes apart.* got .0, 4"),
    "offsets null": (file_of({"a": entry(offsets=None)}, FLOAT), "two integers"),
    "one offset": (file_of({"a": entry(offsets=[4])}, FLOAT), "two integers"),
    "three offsets": (file_of({"a": entry(offsets=[0, 4, 4])}, FLOAT), "two integers"),
    "offset float": (file_of({"a": entry(offsets=[0.0, 4])}, FLOAT), "two integers"),
    "offset bool": (file_of({"a": entry("U8", [1], [False, True])}, b"1"), "two integers"),
    "offset negative": (file_of({"a": entry(offsets=[-4, 0])}, FLOAT), "none negative"),
    "offsets reversed": (file_of({"a": entry(offsets=[4, 0])}, FLOAT), "4 bytes apart"),
    "offset huge": (
        file_of({"a": entry(offsets=[10**4000, 10**4000 + 4])}, FLOAT),
        "tensor 'a': expected data from byte 0 on",
    ),
    "out of range": (
        file_of({"a": entry(shape=[2], offsets=[0, 8])}, FLOAT),
        r"ends by byte 4 \(is the file cut short\?\), got 8",
    ),
    "hole before": (file_of({"a": entry(offsets=[4, 8])}, FLOAT * 2), "from byte 0 on, got 4"),
    "hole between": (
        file_of({"a": entry(), "b": entry(offsets=[5, 9])}, bytes(9)),
        "tensor 'b': expected data from byte 4 on, got 5",
    ),
    "overlap": (
        file_of({"b": entry(offsets=[3, 7]), "a": entry()}, bytes(7)),
        "tensor 'b': expected data from byte 4 on, got 3",
    ),
    "the same buffer twice": (
        file_of({"a": entry(), "b": entry()}, FLOAT),
        "tensor 'b': expected data from byte 4 on, got 0",
    ),
    "empty within another": (
        file_of({"a": entry(), "b": entry(shape=[0], offsets=[2, 2])}, FLOAT),
        "tensor 'b': expected data from byte 4 on, got 2",
    ),
    "trailing byte": (file_of({"a": entry()}, bytes(5)), "expected 4 bytes of data, got 5"),
    "data without tensors": (file_of({}, b"x"), "expected 0 bytes of data, got 1"),
    "BOOL of 2": (
        file_of({"a": entry("BOOL", [2], [0, 2])}, b"\1\2"),
        "BOOL bytes of 0 or 1, got 2",
    ),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD)
def test_malformed_file_raises_file_format_error(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match=message) as raised:
        load(path)
    error = str(raised.value)
    assert error.startswith(repr(str(path)))
    assert len(error) < 500 + len(str(path))


@pytest.mark.parametrize(
    ("start", "end"), [('{"a":', "}"), ("[", "]"), ('[{"a":', "}]")], ids=["{", "[", "[{"]
)
@pytest.mark.parametrize(
    ("before", "after"),
    [('{"a":', "}"), ('{"__metadata__":{"k":', "}}"), ('{"a":{"dtype":"F32","shape":', "}}")],
    ids=["entry", "metadata", "shape"],
)
def test_deep_nesting_is_refused(before: str, after: str, start: str, end: str) -> None:
    for depth in [*range(1, 1000, 9), 100_000]:
        text = before + start * depth + "1" + end * depth + after
        with pytest.raises(FileFormatError):
            loads(file_of(text.encode()))


def test_truncation_and_trailing_bytes_are_refused() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(FileFormatError, match=r"net\.safetensors"):
            loads(SMALL[:length])
    with pytest.raises(FileFormatError):
        loads(SMALL + b"\0")


def test_header_over_10_megabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    with path.open("wb") as file:
        file.write((10_000_001).to_bytes(8, "little") + b"{")
        file.truncate(10_000_100)  # a hole on disk
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="at most 10000000 bytes in a file of 10000100"):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


MEGABYTE = bytes(1_000_000)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 7 + b"\x7f" + MEGABYTE,
        (9_000_000).to_bytes(8, "little") + MEGABYTE,
        file_of({"a": entry(shape=[2**60], offsets=[0, 2**62])}, MEGABYTE),
        file_of({"a": entry(shape=[10**9], offsets=[0, 4 * 10**9])}, MEGABYTE),
        file_of({n: entry("U8", [10**6], [0, 10**6]) for n in "abcdefgh"}, MEGABYTE),
        file_of({"a": entry("U8", [999_999], [0, 999_999])}, MEGABYTE),
        encode({"a": np.zeros(10**6, np.uint8)})[:-1],
        encode({"a": np.zeros(10**6, np.bool_)})[:-1] + b"\2",
    ],
    ids=[
        "length",
        "length in limit",
        "shape",
        "shape of 4 GB",
        "overlaps",
        "trailing",
        "cut",
        "bool",
    ],
)
def test_malformed_file_allocates_no_more_than_its_size(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(data)
    assert peak_of_load(path, valid=False) < len(data) + 50_000


def test_good_file_allocates_its_data_once(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(encode({"a": np.zeros(10**6), "b": np.zeros(10**6, np.bool_)}))
    assert peak_of_load(path, valid=True) < 9_000_000 + 50_000


def peak_of_load(path: Path, *, valid: bool) -> int:
    tracemalloc.start()
    try:
        if valid:
            load(path)
        else:
            with pytest.raises(FileFormatError):
                load(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_file_that_shrinks_while_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(SMALL[:-1])
    real = path.stat()

    class Stat:
        st_size = real.st_size + 1

    monkeypatch.setattr("os.fstat", lambda _: Stat)
    with pytest.raises(FileFormatError, match=r"tensor 'mask': expected 2 bytes .* got 1"):
        load(path)


def test_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


@pytest.mark.parametrize(
    ("arrays", "metadata", "message"),
    [
        (
            {"a": np.zeros(2, complex)},
            {},
            "tensor 'a': expected a dtype of F64, .* got dtype..comple",
        ),
        ({"a": np.zeros(2, object)}, {}, "tensor 'a': expected a dtype"),
        ({"a": np.array(["x"])}, {}, "tensor 'a': expected a dtype"),
        ({"a": np.array(["x"], np.dtypes.StringDType())}, {}, "tensor 'a': expected a dtype"),
        ({"a": np.zeros(2, "m8[s]")}, {}, "tensor 'a': expected a dtype"),
        ({"a": np.zeros(2, [("x", "f4")])}, {}, "tensor 'a': expected a dtype"),
        ({"__metadata__": np.zeros(2)}, {}, "a name of Unicode text other than '__metadata__'"),
        ({3: np.zeros(2)}, {}, "tensor 3: expected a name"),
        ({"\ud800": np.zeros(2)}, {}, "expected a name"),
        ({}, {"epoch": 3}, "__metadata__: expected text to text, got {'epoch': 3}"),
        ({}, {3: "epoch"}, "__metadata__: expected text to text"),
        ({}, {"a": "\ud800"}, "__metadata__: expected text to text"),
    ],
)
def test_unsupported_arrays_and_metadata_are_refused(
    arrays: Any, metadata: Any, message: str
) -> None:
    with pytest.raises(FileFormatError, match=message):
        dumps(arrays, metadata)


def test_too_long_header_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad.saving.safetensors.MAX_HEADER", 64)
    assert dumps({}, {"k": "v"})
    with pytest.raises(FileFormatError, match="at most 64 bytes, got 88"):
        dumps({}, {"k": "v" * 60})


def test_import_loads_no_heavy_module() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import minigrad.saving.safetensors;"
        "print({'json', 'tempfile', 'pathlib'} & (set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


class TestOfficialPackage:
    def test_reads_our_files(self, tmp_path: Path) -> None:
        official = pytest.importorskip("safetensors.numpy")
        arrays = every_dtype() | {"scalar": np.array(3.0), "none": np.zeros((2, 0))}
        path = tmp_path / "net.safetensors"
        path.write_bytes(encode(arrays, {"epoch": "3"}))
        assert_same({name: official.load_file(path)[name] for name in arrays}, arrays)
        with pytest.importorskip("safetensors").safe_open(path, "numpy") as file:
            assert file.metadata() == {"epoch": "3"}

    def test_writes_files_that_we_read(self, tmp_path: Path) -> None:
        official = pytest.importorskip("safetensors.numpy")
        arrays = every_dtype() | {"scalar": np.ones(()), "none": np.zeros((2, 0))}
        path = tmp_path / "net.safetensors"
        official.save_file(arrays, path, {"epoch": "3"})
        actual, metadata = load(path)
        assert_same({name: actual[name] for name in arrays}, arrays)
        assert actual.keys() == arrays.keys()
        assert metadata == {"epoch": "3"}


@pytest.mark.slow
class TestFuzz:
    """Any bytes give a result that survives a round trip, or a FileFormatError."""

    @staticmethod
    def read(data: bytes) -> None:
        try:
            arrays, metadata = loads(data)
        except FileFormatError:
            return
        again, metadata_again = loads(encode(arrays, metadata))
        assert {n: (a.dtype, a.shape, a.tobytes()) for n, a in again.items()} == {
            n: (a.dtype, a.shape, a.tobytes()) for n, a in arrays.items()
        }
        assert metadata_again == metadata

    def run(self, strategy: Any, examples: int = 100) -> None:
        hypothesis = pytest.importorskip("hypothesis")
        settings = hypothesis.settings(max_examples=examples, deadline=None)
        settings(hypothesis.given(strategy)(self.read))()

    def test_random_bytes(self) -> None:
        st = pytest.importorskip("hypothesis.strategies")
        self.run(st.binary(max_size=100) | st.binary(max_size=60).map(file_of))

    def test_random_headers(self) -> None:
        st = pytest.importorskip("hypothesis.strategies")
        numbers = st.integers(-1, 9) | st.sampled_from([2**31, 2**63, 2**64, 10**30, 1.0, True])
        junk = st.none() | numbers | st.text(max_size=3) | st.lists(numbers, max_size=3)
        dtypes = st.sampled_from([*DTYPES, "BF16"]) | junk
        entries = st.builds(entry, dtypes, st.lists(numbers, max_size=3) | junk, st.lists(numbers))
        names = st.sampled_from(["a", "b", "__metadata__"])
        headers = st.dictionaries(names, entries | st.dictionaries(st.text(), junk) | junk)
        self.run(st.builds(file_of, headers, st.binary(max_size=9)))

    def test_flipped_bits(self) -> None:
        for position in range(0, 8 * len(SMALL), 5):
            data = bytearray(SMALL)
            data[position // 8] ^= 1 << position % 8
            self.read(bytes(data))

    def test_flipped_bytes_removed_and_doubled_spans(self) -> None:
        st = pytest.importorskip("hypothesis.strategies")
        place = st.integers(0, len(SMALL))
        spans = st.builds(lambda i, j, new: SMALL[:i] + new + SMALL[j:], place, place, st.binary())
        self.run(spans)
