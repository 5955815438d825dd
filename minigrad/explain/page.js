// The page: its row, its step and its selection. All numbers come from the data.

const DATA = JSON.parse(document.getElementById("data").textContent);
const PHASES = { forward: "Forward", loss: "Loss", backward: "Backward", update: "Update" };
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const state = { step: 0, pick: null };
let row; // the current row
let units; // by key, the name of a unit's first value
let owners; // the unit or weight that a name belongs to: [kind, key]

const byId = (id) => document.getElementById(id);

function showStep() {
  const step = row.steps[state.step];
  const many = row.steps.length;
  for (const one of byId("phases").children) one.ariaCurrent = String(one.value === step.phase);
  byId("count").textContent = `Step ${state.step + 1} of ${many}`;
  const title = step.path ? `${step.path}: ${step.title}` : step.title;
  byId("step-title").textContent = step.path ? title : title[0].toUpperCase() + title.slice(1);
  const tag = make("span", { className: "tag" }, step.named);
  byId("equation").replaceChildren(typeset(step.equation), tag);
  const within = byId("lines").contains(document.activeElement);
  byId("lines").replaceChildren(
    ...step.lines.map((name) => make("li", {}, nameButton(name), inOneRow(row.lines[name]))),
  );
  showGrids(step);
  byId("more").textContent = step.more;
  byId("note").textContent = minus(step.note ?? "");
  byId("note").hidden = !step.note;
  byId("back").ariaDisabled = String(state.step === 0);
  byId("next").ariaDisabled = String(state.step === many - 1);
  const slider = byId("slider");
  slider.max = many;
  slider.value = state.step + 1;
  slider.ariaValueText = `${state.step + 1} of ${many}: ${title}`;
  if (within) byId("step-title").focus({ preventScroll: true });
  follow();
  mark();
  reveal();
  ask();
}

// The panel stays if what is selected is in this step; else it shows the first that is.
function follow() {
  const found = row.steps[state.step].lines.map((name) => owners.get(name)).filter(Boolean);
  const stays = state.pick && linesOf(...state.pick).some((name) => row.lines[name].step === state.step);
  if (state.pick && found.length && !stays) select(...found[0]);
  else openSum();
}

function goTo(step) {
  state.step = Math.min(Math.max(step, 0), row.steps.length - 1);
  // A frame in another page has no address of its own.
  if (window === window.top) history.replaceState(null, "", `#step=${state.step + 1}`);
  showStep();
}

// The step that the page's address asks for, as in page.html#step=12.
const stepInAddress = () => Number(/^#step=(\d+)$/u.exec(location.hash)?.[1] ?? 1) - 1;

function redraw() {
  const focused = [...units.values()].find((unit) => unit.button === document.activeElement);
  draw();
  (focused ?? units.values().next().value).button.tabIndex = 0;
  showStep();
  focused?.button.focus({ preventScroll: true });
}

function showRow(place) {
  row = DATA.rows[place];
  units = new Map();
  for (const column of row.columns) {
    for (const unit of column.units) units.set(unit.values[0], { ...unit, column });
  }
  owners = ownersOf(row);
  row.edges ??= edgesOf(row);
  row.stacks = stacksOf(row);
  row.stacks.forEach((columns, x) => {
    const all = columns.flatMap((column) => column.units);
    all.forEach((unit, y) => Object.assign(units.get(unit.values[0]), { x, y, many: all.length }));
  });
  const held = { unit: units, weight: new Map(Object.entries(row.weights)), cell: owners };
  const still = state.pick && held[state.pick[0]];
  if (still && !still.has(state.pick[1])) state.pick = null;
  draw();
  units.values().next().value.button.tabIndex = 0;
  showPick();
  goTo(state.step);
}

function move(event) {
  const unit = [...units.values()].find((one) => one.button === document.activeElement);
  const by = MOVES[event.key];
  if (!unit || !by || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation();
  const x = Math.min(Math.max(unit.x + by[0], 0), row.stacks.length - 1);
  const column = row.stacks[x].flatMap((one) => one.units);
  const wanted = by[0] ? nearest(column, unit) : column[unit.y + by[1]];
  if (wanted) units.get(wanted.values[0]).button.focus();
}

function nearest(column, unit) {
  const far = (one) => Math.abs(units.get(one.values[0]).middle - unit.middle);
  return column.reduce((best, one) => (far(one) < far(best) ? one : best));
}

function key(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "Escape") clearPick();
  if (event.target.matches("input, select, textarea")) return;
  if (event.key === "ArrowRight") goTo(state.step + 1);
  if (event.key === "ArrowLeft") goTo(state.step - 1);
}

function start() {
  byId("summary").textContent = DATA.summary;
  byId("notes").textContent = DATA.notes.join(" ");
  for (const [place, word] of Object.entries(DATA.equations)) {
    byId("equations").append(make("dt", {}, `(${place})`), make("dd", {}, typeset(word)));
  }
  DATA.rows.forEach((one, place) => byId("row").append(make("option", { value: place }, one.row)));
  for (const phase of new Set(DATA.rows[0].steps.map((step) => step.phase))) {
    const button = make("button", { type: "button", value: phase }, PHASES[phase]);
    const first = () => row.steps.findIndex((step) => step.phase === phase);
    button.addEventListener("click", () => goTo(first()));
    byId("phases").append(button);
  }
  byId("row-choice").hidden = DATA.rows.length < 2;
  byId("row").addEventListener("change", (event) => showRow(Number(event.target.value)));
  byId("back").addEventListener("click", () => goTo(state.step - 1));
  byId("next").addEventListener("click", () => goTo(state.step + 1));
  byId("slider").addEventListener("input", (event) => goTo(event.target.value - 1));
  byId("graph").addEventListener("keydown", move);
  byId("graph").addEventListener("pointermove", hover);
  byId("graph").addEventListener("pointerleave", hover);
  byId("graph").addEventListener("pointerdown", (event) => { pressed = event; });
  byId("graph").addEventListener("click", clickLine);
  byId("grids").addEventListener("keydown", moveInGrid);
  byId("words").addEventListener("toggle", describe);
  document.addEventListener("keydown", key);
  byId("app").hidden = false;
  state.step = stepInAddress();
  showRow(0);
  const [first] = row.steps[state.step].lines;
  pick(...(owners.get(DATA.opened) ?? owners.get(first) ?? owners.get(row.steps[0].lines[0])));
  addEventListener("hashchange", () => goTo(stepInAddress()));
  new ResizeObserver(() => {
    if (byId("scroll").clientWidth !== row.drawn) redraw();
  }).observe(byId("app"));
}

start();
