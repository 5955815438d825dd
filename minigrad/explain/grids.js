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
function panelsOf({ name, shape, origin, values, axes }) {
  const panels = new Map();
  const [down, right] = axes.length > 1 ? axes : [-1, axes[0]];
  cellsOf(shape, origin).forEach((index, i) => {
    const at = index.split(",").map(Number);
    const rest = at.filter((_, axis) => !axes.includes(axis)).join(",");
    if (!panels.has(rest)) panels.set(rest, []);
    panels.get(rest).push([[at[down] ?? 0, at[right]], `${name}[${index}]`, values[i]]);
  });
  const before = ([[a, b]], [[c, d]]) => a - c || b - d;
  return [...panels.values()].map((cells) => cells.sort(before).map(([, ...cell]) => cell));
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
  const { name, shape, of, axes } = grid;
  const cut = String(shape) === String(of) ? "" : `, the first ${shape.join(" × ")} of ${of.join(" × ")}`;
  const across = shape.length === 2 && axes[0] === 1 ? ", time →" : "";
  const caption = make("figcaption", {}, typeset(name), cut, across);
  const panels = drawPanels(panelsOf(grid), shape[axes.at(-1)]);
  if (grid.blocks) nameBlocks(panels.firstChild, grid);
  return make("figure", { className: result ? "made" : "" }, caption, panels);
}

// Write the name of each block of rows, such as that of a gate, before it.
function nameBlocks(cells, { blocks, shape, of, axes: [down] }) {
  const rows = of[down] / blocks.length;
  const shown = blocks.filter((_, i) => i * rows < shape[down]);
  cells.style.gridTemplateColumns = `auto ${cells.style.gridTemplateColumns}`;
  cells.prepend(...shown.map((block, i) => {
    const made = make("div", { className: "block" }, typeset(block));
    const end = Math.min((i + 1) * rows, shape[down]);
    made.style.gridArea = `${i * rows + 1} / 1 / ${end + 1} / 2`;
    return made;
  }));
}

// Matrices of some columns; their numbers are written where there is room.
function drawPanels(panels, many) {
  const sizes = panels.flat().map(([, value]) => Math.abs(Number(value))).filter(Number.isFinite);
  const largest = Math.max(...sizes) || 1;
  const written = many <= WIDEST && panels[0].length <= LARGEST && panels.flat().length <= 2 * LARGEST;
  const room = panels.length > 1 ? PIXELS / 2 : PIXELS;
  const side = written ? 48 : Math.max(4, Math.min(16, Math.floor(room / many)));
  return make("div", { className: "panels" }, ...panels.map((cells) => {
    const made = make("div", { className: "cells" });
    made.append(...cells.map(([full, value]) => cellOf(full, value, largest, written)));
    made.style.gridTemplateColumns = `repeat(${many}, ${side}px)`;
    made.style.gridAutoRows = `${written ? 24 : side}px`;
    return made;
  }));
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

function briefCell(text) {
  const value = Number(text);
  if (!Number.isFinite(value)) return minus(text).replace("inf", "∞");
  return value && Math.abs(value) < 1e-3 ? minus(value.toExponential(0)) : brief(text);
}

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
  showProducts(here);
}

// An array of many matrices shows those that the selected number uses; and the products of a
// kernel with its window are drawn like the kernel.
function showProducts(here) {
  byId("products")?.remove();
  for (const figure of byId("grids").querySelectorAll("figure:not(.made)")) {
    const panels = [...figure.querySelectorAll(".cells")];
    const used = panels.filter((panel) => panel.querySelector(".used"));
    for (const panel of panels) panel.hidden = panels.length > 2 && used.length > 0 && !used.includes(panel);
  }
  const [line] = here.map((name) => row.lines[name]);
  const kernel = (row.steps[state.step].grids ?? []).map((key) => row.grids[key]).find((grid) => grid.kernel);
  if (!kernel || !line?.terms) return;
  const found = new Map();
  for (const { factors, value } of line.terms) {
    const weight = factors.find(([name]) => name.startsWith(`${kernel.name}[`));
    if (weight) found.set(weight[0], value);
  }
  const panels = panelsOf(kernel).map((cells) => cells.map(([name]) => [name, found.get(name) ?? "0"]));
  const used = panels.filter((cells) => cells.some(([name]) => found.has(name)));
  if (!used.length) return;
  const drawn = drawPanels(used, kernel.shape[kernel.axes.at(-1)]);
  for (const button of drawn.querySelectorAll("button")) {
    button.replaceWith(make("div", { className: "cell", title: `the product with ${button.dataset.name}` }, ...button.childNodes));
  }
  const caption = make("figcaption", {}, "the products, whose sum is ", typeset(here[0]));
  const rest = line.omitted ? ` (${line.omitted} small ones are left out)` : "";
  caption.append(rest);
  byId("grids").querySelector(".made").before(make("figure", { id: "products" }, caption, drawn));
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
