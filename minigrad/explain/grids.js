// The matrices of a step: what its numbers are computed from, and last these themselves.

const [WIDEST, LARGEST] = [12, 144]; // columns and cells of a matrix whose numbers are written
const PIXELS = 300; // the width of a matrix without numbers

// The indices of an array's numbers in order, as in a name: "0,1".
function cellsOf(shape, origin) {
  let indices = [[]];
  shape.forEach((size, axis) => {
    const along = Array.from({ length: size }, (_, i) => i + origin[axis]);
    indices = indices.flatMap((index) => along.map((i) => [...index, i]));
  });
  return indices.map(String);
}

// The panels of an array: its numbers by rows, for each index of the other axes.
function panelsOf({ name, shape, origin, values, image, across }) {
  const cells = cellsOf(shape, origin).map((index, i) => [index.split(","), `${name}[${index}]`, values[i]]);
  const inner = image ? [0, 2] : [Math.max(0, shape.length - 2), shape.length];
  const panels = new Map();
  for (const [index, full, value] of cells) {
    const rest = index.filter((_, axis) => axis < inner[0] || axis >= inner[1]).join(",");
    if (!panels.has(rest)) panels.set(rest, []);
    panels.get(rest).push([full, value]);
  }
  if (!across) return [...panels.values()];
  const [time, many] = shape;
  return [...panels.values()].map((own) => own.map((_, i) => own[(i % time) * many + Math.floor(i / time)]));
}

function showGrids(step) {
  const grids = (step.grids ?? []).map((key) => row.grids[key]);
  byId("grids").hidden = !grids.length;
  const within = byId("grids").contains(document.activeElement);
  byId("grids").replaceChildren(...grids.map((grid, i) => drawGrid(grid, i === grids.length - 1)));
  const first = byId("grids").querySelector("button");
  if (first) first.tabIndex = 0;
  if (within) byId("step-title").focus({ preventScroll: true });
}

function drawGrid(grid, result) {
  const { name, shape, of, image, across, values } = grid;
  const many = across ? shape[0] : image ? shape[1] ?? 1 : shape.at(-1);
  const inside = shape.length < 2 ? many : image ? many * shape[0] : shape.at(-1) * shape.at(-2);
  const sizes = values.map((value) => Math.abs(Number(value))).filter(Number.isFinite);
  const largest = Math.max(...sizes) || 1;
  const written = many <= WIDEST && inside <= LARGEST;
  const side = written ? 48 : Math.max(5, Math.min(16, Math.floor(PIXELS / many)));
  const panels = panelsOf(grid).map((cells) => {
    const made = make("div", { className: "cells" }, ...cells.map(([full, value]) => cellOf(full, value, largest, written)));
    made.style.gridTemplateColumns = `repeat(${many}, ${side}px)`;
    made.style.gridAutoRows = `${written ? 24 : side}px`;
    return made;
  });
  const cut = String(shape) === String(of) ? "" : `, the first ${shape.join(" × ")} of ${of.join(" × ")}`;
  const caption = make("figcaption", {}, typeset(name), cut, across ? ", time →" : "");
  return make("figure", { className: result ? "made" : "" }, caption, make("div", { className: "panels" }, ...panels));
}

function cellOf(full, value, largest, written) {
  const owner = owners.get(full);
  const made = make(owner ? "button" : "div", { className: "cell", title: `${full} = ${minus(value)}` });
  const tint = make("i", { className: Number(value) < 0 ? "negative" : "" });
  tint.style.opacity = 0.4 * Math.min(1, Math.abs(Number(value)) / largest) || 0;
  made.append(tint);
  if (written) made.append(make("span", {}, briefCell(value)));
  made.dataset.name = full;
  if (!owner) return made;
  Object.assign(made, { type: "button", tabIndex: -1, ariaLabel: `${full} is ${value}` });
  made.addEventListener("click", () => pick(...owner));
  return made;
}

const briefCell = (text) => (Number.isFinite(Number(text)) ? brief(text) : minus(text).replace("inf", "∞"));

// Mark the selected number, and the factors of its sum at this step.
function markGrids() {
  const here = (state.pick ? linesOf(...state.pick) : []).filter((name) => row.lines[name].step === state.step);
  const used = new Set(here.flatMap(factorsOf));
  for (const cell of byId("grids").querySelectorAll(".cell")) {
    const { name } = cell.dataset;
    cell.classList.toggle("picked", here.includes(name));
    cell.classList.toggle("used", used.has(name));
    if (cell.matches("button")) cell.ariaPressed = String(here.includes(name));
  }
}

function moveInGrid(event) {
  const by = MOVES[event.key];
  const cell = document.activeElement;
  if (!by || !cell.matches(".cell") || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation();
  const cells = [...byId("grids").querySelectorAll("button.cell")];
  const box = (one) => one.getBoundingClientRect();
  const [x, y] = [box(cell).left, box(cell).top];
  const ahead = cells.filter((one) => (box(one).left - x) * by[0] + (box(one).top - y) * by[1] > 1);
  const far = (one) => Math.hypot((box(one).left - x) * (by[0] ? 1 : 9), (box(one).top - y) * (by[1] ? 1 : 9));
  const next = ahead.reduce((best, one) => (best && far(best) <= far(one) ? best : one), null);
  if (!next) return;
  for (const one of cells) one.tabIndex = one === next ? 0 : -1;
  next.focus();
}
