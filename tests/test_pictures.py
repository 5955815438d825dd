"""The pictures are well-formed, safe, readable in light and dark, and true to their numbers."""

import math
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minigrad.plots import histograms, line_chart, network_diagram, surface
from minigrad.plots.axes import Scale, linear_ticks, log_ticks, span
from minigrad.plots.contours import level_lines, outlines
from minigrad.plots.curves import thin
from minigrad.plots.histograms import Spread
from minigrad.plots.labels import spread
from minigrad.plots.palette import DARK, LIGHT, SEQUENTIAL, SERIES
from minigrad.plots.values import format_number

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "<script>alert('x')</script>&\"\x00\ud800"
DRAWN_TWICE = "[[0, 1], [1, 2]], x_range=(0, 1), y_range=(0, 1), title='T', boundary=0.5"
NAN, INF = math.nan, math.inf


def wave(n: int = 21) -> np.ndarray[Any, np.dtype[np.float64]]:
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    return np.asarray(np.sin(3 * x) * y)


def chart(**options: Any) -> str:
    series = options.pop("series", {"loss": [3, 2, 1]})
    return line_chart(series, title="T", x_label="epoch", y_label="loss", **options)


def plane(**options: Any) -> str:
    values = options.pop("values", wave())
    ranges = {"x_range": (-1, 1), "y_range": (-1, 1), "title": "T"}
    return surface(values, **(ranges | options))


def net(*widths: int, **options: Any) -> str:
    return network_diagram(widths, title="T", **options)


PICTURES: dict[str, Callable[[], str]] = {
    "curves": lambda: chart(series={"a": 1 / np.arange(1, 10_001), "b": [1, 2]}, log_y="auto"),
    "logarithms": lambda: chart(series={"a": [1e-9, 0, 1]}, log_x=True, log_y=True),
    "gaps": lambda: chart(series={"a": [1, NAN, 2, INF], "b": [None, None], "c": [0.5]}),
    "lines": lambda: chart(references={"floor 1/12": 1 / 12}, markers={"best": 2, "last": 3}),
    "nasty names": lambda: chart(series={NASTY: [1]}, references={NASTY: 1}, markers={NASTY: 1}),
    "many curves": lambda: chart(series={f"{i} " * 40: [i, i] for i in range(30)}),
    "histograms": lambda: histograms(
        {"z": {"a": wave(), "b": [NAN]}, NASTY: {NASTY: []}}, title=""
    ),
    "units": lambda: net(
        2, 3, 1, weights=[np.eye(2, 3), [[NAN], [-1], [0]]], names=["a", NASTY, "c"]
    ),
    "values": lambda: net(
        2, 1, activations=[[1, 2], [-1e-12]], deltas=[None, [3]], input_names=[NASTY] * 2
    ),
    "blocks": lambda: net(784, 13, 2, weights=[None, np.zeros((13, 2))]),
    "one layer": lambda: net(1),
    "surface": lambda: plane(boundary=0.25, x_label=NASTY, y_label=NASTY, value_label=NASTY),
    "classes": lambda: plane(points=[[0, 0], [1, -1], [9, 9]], targets=[0, 1, 2], boundary=0),
    "targets": lambda: plane(points=np.linspace(-1, 1, 40).reshape(20, 2), targets=np.arange(20)),
    "holes": lambda: plane(values=np.where(abs(wave()) > 0.5, NAN, wave())),
    "flat": lambda: plane(values=np.zeros((2, 2)), points=[[0, 0]]),
}


@pytest.fixture(params=PICTURES)
def svg(request: pytest.FixtureRequest) -> str:
    return PICTURES[request.param]()


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_is_well_formed_with_alternative_text(svg: str) -> None:
    root = ElementTree.fromstring(svg)
    words = {child.get("id"): child.text for child in root}
    assert root.get("role") == "img"
    title, description = (root.get("aria-labelledby") or "").split()
    assert title in words
    assert len(words[description] or "") > 10


def test_places_everything_at_finite_positions_inside(svg: str) -> None:
    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    shifted = {id(e) for g in root.iter(f"{SVG}g") if g.get("transform") for e in g.iter()}
    for element in root.iter():
        for name, limit in (
            ("x", width),
            ("y", height),
            ("x1", width),
            ("y2", height),
            ("cy", height),
        ):
            assert 0 <= float(element.get(name, "0")) <= limit + 22 * (id(element) in shifted)
        assert not re.search("nan|inf", element.get("d", "") + element.get("points", ""))


def test_names_are_escaped(svg: str) -> None:
    assert "<script" not in svg
    assert not {element.tag for element in ElementTree.fromstring(svg).iter()} & {f"{SVG}script"}


def test_a_name_reads_as_given() -> None:
    assert 'a < b & "c"' in texts(chart(series={'a < b & "c"': [1, 2]}))


def test_styles_and_ids_stay_apart_on_one_page() -> None:
    page = {name: draw() for name, draw in PICTURES.items()}
    ids = [re.findall(r' id="([^"]+)"', svg) for svg in page.values()]
    assert len({name for names in ids for name in names}) == sum(map(len, ids))
    for names, svg in zip(ids, page.values(), strict=True):
        style = re.findall("<style>(.*)</style>", svg)[0]
        selectors = re.findall(
            r"(?:^|[}{,])([#.a-z][^{},:;]*)(?=[{,])",
            re.sub(r"\{--[^}]*|@media[^{]*\{|font-family:[^}]*", "{", style),
        )
        assert len(selectors) > 20
        assert all(s.startswith(f"#{names[0]}") for s in selectors)


def test_is_the_same_in_every_process() -> None:
    draw = "from minigrad.plots import surface as s; print(s(" + DRAWN_TWICE + "))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", draw],
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "12"
    ]
    assert runs[0] == runs[1]
    assert runs[0].startswith(b"<svg ")


def test_leaves_its_inputs_alone() -> None:
    grid, weights = wave(), np.ones((2, 1))
    for array in (grid, weights):
        array.setflags(write=False)
    plane(values=grid, points=grid[:, :2])
    chart(series={"a": grid[0]})
    net(2, 1, weights=[weights])
    histograms({"a": {"b": grid}}, title="T")
    np.testing.assert_array_equal(grid, wave(), strict=True)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(a: str, b: str) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out_in_both_modes(palette: dict[str, str]) -> None:
    text_on = {"paper": ["ink", "muted", *SERIES], "panel": ["ink", "muted"], "grid": ["ink"]}
    for ground, names in text_on.items():
        for name in names:
            assert contrast(palette[name], palette[ground]) >= 4.5, (name, ground)
    assert contrast(palette["edge"], palette["paper"]) >= 3


def test_palettes_have_the_same_names_and_the_ramp_gets_lighter() -> None:
    assert list(LIGHT) == list(DARK)
    assert sorted(SEQUENTIAL, key=luminance) == list(SEQUENTIAL)


def test_dark_mode_replaces_every_colour() -> None:
    light, dark = chart().split("@media (prefers-color-scheme:dark)")
    for name in LIGHT:
        assert f"--{name}:{LIGHT[name]}" in light
        assert f"--{name}:{DARK[name]}" in dark


@given(st.integers(0, 2**32 - 1), st.integers(1001, 20_000))
def test_thinning_keeps_ends_and_extremes(seed: int, n: int) -> None:
    y = np.random.default_rng(seed).standard_cauchy(n)
    kept = thin(np.arange(float(n)), y)
    assert len(kept) <= 1000
    assert (np.diff(kept) > 0).all()
    assert {0, n - 1, int(y.argmin()), int(y.argmax())} <= set(kept.tolist())


def paths(svg: str, css: str = "stroke-series-0") -> list[str]:
    root = ElementTree.fromstring(svg)
    return [
        p.get("d", "")
        for p in root.iter(f"{SVG}path")
        if p.get("class") == css and p.get("stroke-width") == "2"
    ]


def test_a_long_curve_has_at_most_1000_points_and_its_peak() -> None:
    y = np.ones(50_000)
    y[31_415] = 100.0
    heights = [
        float(point.split()[1]) for point in re.split("[ML]", paths(chart(series={"a": y}))[0])[1:]
    ]
    assert len(heights) <= 1000
    assert heights.count(min(heights)) == 1


@pytest.mark.parametrize(
    ("series", "pieces"),
    [
        ([1, 2, 3], 1),
        ([1, 2, NAN, 3, 4], 2),
        ([1, 2, INF, -INF, 3], 1),
        ([1, 2, 0, 3, 4], 2),
        ([5], 0),
    ],
)
def test_values_that_cannot_be_drawn_leave_gaps(series: list[float], pieces: int) -> None:
    assert "".join(paths(chart(series={"a": series}, log_y=True))).count("M") == pieces


def test_a_curve_that_ends_in_nan_ends_in_a_cross_and_says_so() -> None:
    crosses = [
        chart(series={"a": s}).count('stroke-width="2.5"') for s in ([1, 2, NAN], [1, NAN, 2])
    ]
    assert crosses == [1, 0]
    assert "nan" in texts(chart(series={"a": [1, 2, NAN]}))


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([1, 100], True),
        ([1, 99], False),
        ([0, 1000], False),
        ([-1, 1000], False),
        ([1, NAN, 1e9], True),
    ],
)
def test_auto_takes_a_logarithm_where_it_helps(values: list[float], log: bool) -> None:
    assert ("loss (log scale)" in texts(chart(series={"a": values}, log_y="auto"))) is log


@example([0.0, 5e-324], False)
@example([-1e-300, 1e-291], False)
@given(st.lists(st.floats() | st.none(), min_size=1, max_size=30), st.booleans())
@example(values=[0.0, 5e-324], log=False)
def test_any_numbers_can_be_drawn(values: list[Any], log: bool) -> None:
    drawable = [v for v in values if v is not None and abs(v) <= 1e300 and (v > 0 or not log)]
    if not drawable:
        with pytest.raises(ValueError, match="at least one finite"):
            chart(series={"a": values}, log_y=log)
        return
    for svg in (
        chart(series={"a": values}, log_y=log),
        histograms({"a": {"b": values}}, title="T"),
    ):
        test_places_everything_at_finite_positions_inside(svg)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[float, float]:
    low = draw(st.floats(-1e12, 1e12))
    return low, low + draw(st.floats(1e-6, 1e6)) * max(1.0, abs(low))


@given(ranges(), st.integers(2, 12))
def test_linear_ticks_are_even_round_and_few(ends: tuple[float, float], count: int) -> None:
    ticks = [value for value, _ in linear_ticks(*ends, count)]
    slack = 1e-3 * (ends[1] - ends[0])
    assert len(ticks) <= count + 1
    assert all(ends[0] - slack <= t <= ends[1] + slack for t in ticks)
    np.testing.assert_allclose(np.diff(ticks, n=2), 0, atol=slack)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 10_000, ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]),
        (-0.011, 0.011, ["−0.010", "−0.005", "0.000", "0.005", "0.010"]),
        (0, 2.1e7, ["0", "5×10⁶", "1×10⁷", "1.5×10⁷", "2×10⁷"]),
        (0, 1e-8, ["0", "2×10⁻⁹", "4×10⁻⁹", "6×10⁻⁹", "8×10⁻⁹", "1×10⁻⁸"]),
    ],
)
def test_linear_labels(low: float, high: float, labels: list[str]) -> None:
    assert [label for _, label in linear_ticks(low, high, 5)] == labels


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.5, 2000, ["1", "10", "100", "1,000"]),
        (1e-5, 1, ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "10⁰"]),
        (1e-20, 1, ["10⁻²⁰", "10⁻¹⁶", "10⁻¹²", "10⁻⁸", "10⁻⁴", "10⁰"]),
        (1, 30, ["1", "2", "5", "10", "20"]),
        (2.1, 2.9, ["2.2", "2.4", "2.6", "2.8"]),
    ],
)
def test_log_labels(low: float, high: float, labels: list[str]) -> None:
    assert [label for _, label in log_ticks(low, high, 6)] == labels


def test_whole_steps_have_whole_ticks() -> None:
    assert [name for _, name in Scale(1, 3, 0, 500, whole=True).ticks(9)] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("values", "log", "expected"),
    [
        ([0, 10], False, (0, 10.4)),
        ([5, 5], False, (4.5, 5.5)),
        ([0, 0], False, (-1, 1)),
        ([1, 1e10], True, (10**-0.4, 10**10.4)),
    ],
)
def test_spans(values: list[float], log: bool, expected: tuple[float, float]) -> None:
    np.testing.assert_allclose(span(np.array(values, dtype=float), log=log), expected)


@given(st.lists(st.floats(-50, 350), min_size=1, max_size=10))
def test_labels_keep_apart_in_order_and_inside(wanted: list[float]) -> None:
    places = spread(sorted(wanted), [20.0] * len(wanted), 0.0, 300.0)
    assert (np.diff(places) >= 20 - 1e-9).all()
    assert places[0] >= 10 - 1e-9
    assert places[-1] <= 290 + 1e-9


def test_labels_stand_in_the_order_of_their_values() -> None:
    svg = chart(
        series={"high": [1, 1.01], "low": [2, 1.0]}, references={"lowest": 0.99, "top": 1.02}
    )
    names = [t for t in texts(svg) if t in {"high", "low", "lowest", "top"}]
    assert names == ["top", "high", "low", "lowest"]


def test_labels_with_room_stay() -> None:
    np.testing.assert_array_equal(
        spread([20.0, 90.0], [20.0, 30.0], 0, 200), [20.0, 90.0], strict=True
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1234.5, "1,230"),
        (0.0999999, "0.1"),
        (1234567.0, "1,230,000"),
        (9.999e6, "1×10⁷"),
        (-1.5e-7, "−1.5×10⁻⁷"),
        (1e-4, "0.0001"),
        (NAN, "nan"),
        (-INF, "−∞"),
    ],
)
def test_numbers_as_text(value: float, text: str) -> None:
    assert format_number(value) == text


def area(loop: list[tuple[float, float]]) -> float:
    x, y = np.array(loop).T
    return 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))


def test_the_outline_of_a_disc_has_its_area() -> None:
    axis = np.linspace(-100, 100, 81)
    distance = np.hypot(axis[:, None], axis)
    (loop,) = outlines(-distance, axis, axis, -70.0)
    assert area(loop) == pytest.approx(math.pi * 70**2, rel=1e-3)
    np.testing.assert_allclose(np.hypot(*np.array(loop).T), 70, rtol=2e-3)
    border, hole = sorted(outlines(distance, axis, axis, 70.0), key=area, reverse=True)
    assert area(border) == 200**2
    assert area(hole) == pytest.approx(math.pi * 70**2, rel=1e-3)


@pytest.mark.parametrize("level", [0.75, 1.0, 1.3])
def test_a_level_line_is_straight_on_a_plane_and_leaves_out_the_border(level: float) -> None:
    axis = np.linspace(0, 1, 21)
    (line,) = level_lines(axis[:, None] + axis, 100 * axis, 100 * axis, level)
    np.testing.assert_allclose(np.sum(line, axis=1), 100 * level)
    assert np.ptp(np.array(line)[:, 0]) == pytest.approx(100 * (1 - abs(level - 1)))


def test_a_hole_is_no_level_line() -> None:
    axis = np.linspace(0, 100, 11)
    grid = np.ones((11, 11))
    grid[4:7, 4:7] = NAN
    assert level_lines(grid, axis, axis, 0.5) == []
    hole, border = sorted(map(area, outlines(grid, axis, axis, 0.5)))
    assert (hole, border) == (40**2 - 4 * 10**2 / 2, 100**2)


@pytest.mark.parametrize("grid", [[[1, 0], [0, 1]], [[0, 1], [1, 0]]])
def test_a_saddle_leaves_its_high_corners_apart(grid: list[list[int]]) -> None:
    axis = np.array([0.0, 100.0])
    loops = outlines(np.array(grid, dtype=float), axis, axis, 0.5)
    assert list(map(area, loops)) == [50**2 / 2] * 2


def test_counts_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    counts, low, high = Spread(values, 0).counts(20)
    expected, _ = np.histogram(values, bins=20)
    np.testing.assert_array_equal(counts, expected.astype(float), strict=True)
    assert (low, high) == (values.min(), values.max())


def test_values_that_are_not_finite_are_counted() -> None:
    assert "2 not finite, mean 1.5, std 0.5" in texts(
        histograms({"a": {"b": [NAN, 1, 2, INF]}}, title="T")
    )


def edges(svg: str) -> list[tuple[str, str | None, float]]:
    lines = ElementTree.fromstring(svg).iter(f"{SVG}line")
    return [
        (e.get("class", ""), e.get("stroke-dasharray"), float(e.get("stroke-width", "")))
        for e in lines
        if e.get("opacity")
    ]


def test_an_edge_shows_sign_and_size_of_its_weight() -> None:
    assert edges(net(2, 2, weights=[[[4.0, -2.0], [0.0, NAN]]])) == [
        ("stroke-edge", None, 1.0),
        ("stroke-edge", None, 1.0),
        ("stroke-series-1", "7 4", 3.0),
        ("stroke-series-0", None, 5.0),
    ]


def test_wide_layers_are_blocks() -> None:
    svg = net(784, 64, 10, weights=[np.zeros((784, 64)), np.zeros((64, 10))])
    assert edges(svg) == []
    assert {"784", "64", "784 × 64", "64 × 10"} <= set(texts(svg))
    assert svg.count("<circle") == 10


def test_units_show_their_values() -> None:
    svg = net(1, 1, activations=[[0.5], [0.731]], deltas=[None, [-0.0123]], input_names=["x"])
    assert {"0.5", "0.731", "δ −0.012", "x"} <= set(texts(svg))


def test_only_points_inside_are_drawn() -> None:
    points = np.random.default_rng(0).uniform(-2, 2, size=(5000, 2))
    inside = int((abs(points) <= 1).all(axis=1).sum())
    svg = plane(points=points)
    assert inside > 1000
    assert svg.count("<circle") == 1000
    assert "1,000 of 5,000 points" in svg


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: chart(series={}), ValueError, "at least one series, got none"),
        (lambda: chart(series={"a": []}), ValueError, "Series 'a' expects at least one value"),
        (lambda: chart(series={"a": [NAN]}), ValueError, "at least one finite value"),
        (lambda: chart(series={"a": [-1]}, log_y=True), ValueError, "finite, positive value"),
        (lambda: chart(series={"a": [[1]]}), ValueError, r"Series 'a' .* shape \(1, 1\)"),
        (lambda: chart(series={"a": ["1"]}), TypeError, "Series 'a' must hold numbers"),
        (lambda: chart(series={"a": [1j]}), TypeError, "Series 'a' .* complex128"),
        (lambda: chart(x=[1, 2]), ValueError, "each of 3 values, got 2"),
        (lambda: chart(x=[1, 1, 2]), ValueError, "increasing order"),
        (lambda: chart(x=[0, 1, 2], log_x=True), ValueError, "log_x=True expects positive"),
        (
            lambda: chart(references={"r": 0.0}, log_y=True),
            ValueError,
            "log_y=True expects positive",
        ),
        (
            lambda: chart(markers={"m": NAN}),
            ValueError,
            "'markers' expects finite numbers, got 'm'",
        ),
        (
            lambda: chart(log_y="yes"),
            ValueError,
            "'log_y' expects True, False or 'auto', got 'yes'",
        ),
        (lambda: histograms({}, title="T"), ValueError, "at least one layer"),
        (lambda: histograms({"a": {"b": [1]}}, title="T", bins=0), ValueError, "'bins' .* got 0"),
        (lambda: net(), ValueError, "'widths' expects layers"),
        (lambda: net(2, 0), ValueError, r"got \[2, 0\]"),
        (lambda: net(2, 1, weights=[]), ValueError, "'weights' expects 1 arrays, got 0"),
        (lambda: net(2, 1, weights=[[[1, 2]]]), ValueError, r"shape \(2, 1\), got \(1, 2\)"),
        (lambda: net(2, 1, names=["a"]), ValueError, "'names' expects 2 names, got 1"),
        (lambda: plane(values=[[1, 2]]), ValueError, r"at least 2 rows and columns, got \(1, 2\)"),
        (lambda: plane(values=np.full((3, 3), NAN)), ValueError, "at least one finite value"),
        (lambda: plane(x_range=(1, 1)), ValueError, "'x_range' expects"),
        (lambda: plane(boundary=NAN), ValueError, "'boundary' expects a finite number"),
        (lambda: plane(points=[[1, 2, 3]]), ValueError, r"shape \(n, 2\), got \(1, 3\)"),
        (lambda: plane(points=[[0, 0]], targets=[1, 2]), ValueError, r"shape \(1,\), got \(2,\)"),
        (lambda: plane(targets=[1]), ValueError, "expects 'points'"),
    ],
)
def test_errors_say_what_is_wrong(
    draw: Callable[[], str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        draw()
