// The diagram: columns of units, the lines between them, and marks on those of the current step.

const SIZES = [[104, 64], [88, 48], [76, 44], [58, 32]]; // of units, and of gaps between columns
const [MOST_GAP, SPACE, TAB, REST] = [150, 12, 19, 22]; // pixels
const TALLEST = 500; // a taller diagram has lower units
const still = matchMedia("(prefers-reduced-motion: reduce)");

function draw() {
  const graph = byId("graph");
  const many = row.stacks.length;
  byId("main").classList.toggle("across", many > 4);
  row.drawn = byId("scroll").clientWidth;
  const { width, gap, edge } = sizeOf(many);
  const leftOf = (x) => edge + x * (width + gap);
  const svg = svgElement("svg", { "aria-hidden": "true" });
  graph.replaceChildren(svg);
  graph.classList.toggle("narrow", width < 88);
  graph.classList.toggle("small", width < 76);
  row.branched = row.stacks.some((stack) => stack.length > 1);
  row.stacks.forEach((stack, x) => {
    const over = row.branched ? 8 : x === 0 || x === many - 1 ? edge : gap / 2 - 3;
    for (const column of stack.filter(({ lane }) => !lane)) {
      column.heading = heading(column);
      place(column.heading, leftOf(x) - over, 0, width + 2 * over);
      graph.append(column.heading);
    }
  });
  const height = setHeights(graph);
  row.stacks.forEach((stack, x) => {
    let above = (height - total(stack)) / 2;
    for (const item of stack) {
      Object.assign(item, { left: leftOf(x), right: leftOf(x) + width, above });
      if (!item.lane) drawColumn(graph, item, width);
      above += heightOf(item);
    }
  });
  levelTops(graph, width);
  const all = leftOf(many - 1) + width + edge;
  for (const element of [graph, svg]) {
    element.style.width = `${all}px`;
    element.style.height = `${height + 12}px`;
  }
  byId("sideways").hidden = all <= row.drawn;
  drawLines(svg);
  graph.append(make("div", { id: "tip", hidden: true, ariaHidden: "true" }));
}

// The width of units, the gap between columns, and the edge of the diagram.
function sizeOf(many) {
  const edge = row.drawn < 600 ? 4 : 14;
  const spare = ([unit, gap]) => row.drawn - 8 - 2 * edge - many * unit - (many - 1) * gap;
  const [width, least] = SIZES.find((size) => spare(size) >= 0) ?? SIZES[1];
  const more = Math.max(0, spare([width, least]) / (many - 1));
  return { width, edge, gap: Math.min(least + more, MOST_GAP) };
}

const total = (stack) => stack.reduce((sum, item) => sum + heightOf(item), 0);

// Set the heights of headings and units, and return that of the diagram.
function setHeights(graph) {
  for (const column of row.columns) column.head = column.heading.offsetHeight + 8;
  const head = Math.max(...row.columns.map((column) => column.head));
  if (!row.branched) for (const column of row.columns) column.head = head;
  let height = 0;
  for (const base of [62, 50]) {
    for (const column of row.columns) setHeight(column, base);
    graph.classList.toggle("low", base < 62);
    height = Math.max(...row.stacks.map(total));
    if (height <= TALLEST) break;
  }
  return height;
}

// Draw a lane level if it is above all columns, and name it if it is a skip.
function levelTops(graph, width) {
  const tops = row.stacks.map(([first]) => first).filter(({ lane }) => lane);
  for (const lanes of grouped(tops, ({ way }) => way).values()) {
    const above = Math.min(...lanes.map((lane) => lane.above));
    for (const lane of lanes) lane.above = above;
    const [, to] = lanes[0].lane[0];
    if (units.get(to).column.residual) graph.append(label("skip", lanes[0].left, above - 10, width));
  }
}

function setHeight(column, base) {
  const target = column.units.some((unit) => unit.target) ? 17 : 0;
  column.tab = column.units.some((unit) => biasOf(unit)) ? TAB : 0;
  column.height = base + target + (column.shares ? 8 : 0);
}

function heightOf(item) {
  if (item.lane) {
    item.pitch = Math.min(LANE, 120 / item.lane.length);
    return (item.lane.length + 3) * item.pitch;
  }
  const rest = item.size > item.units.length ? REST : 0;
  return item.head + item.units.length * (item.height + item.tab + SPACE) + rest;
}

function drawColumn(graph, column, width) {
  column.heading.style.top = `${row.branched ? column.above : 0}px`;
  let above = column.above + column.head;
  for (const { values } of column.units) {
    const unit = units.get(values[0]);
    const bias = biasOf(unit);
    if (bias) graph.append(tabOf(unit, bias, column.left, above, width));
    above += column.tab;
    Object.assign(unit, { left: column.left, right: column.right, top: above });
    Object.assign(unit, { bottom: above + column.height, middle: above + column.height / 2 });
    graph.append(unitButton(unit, width));
    above += column.height + SPACE;
  }
  const rest = column.size - column.units.length;
  if (rest) graph.append(label(`${rest} more`, column.left, above - 6, width));
}

function label(text, left, top, width) {
  const made = make("div", { className: "column" }, make("span", {}, text));
  place(made, left, top, width);
  return made;
}

function place(element, left, top, width) {
  element.style.left = `${left}px`;
  element.style.top = `${top}px`;
  element.style.width = `${width}px`;
}

function heading(column) {
  const first = column.units[0].values[0];
  const what = row.lines[first]?.step === undefined ? "number" : "unit";
  const kind = isLoss(first) ? "loss" : `${column.size} ${what}${column.size === 1 ? "" : "s"}`;
  const parts = titleOf(column).split(/(?<=[.])|(?<=[a-z])(?=[A-Z])/u);
  const title = make("b", {}, ...parts.flatMap((part) => [part, make("wbr")]));
  return make("div", { className: "column" }, title, make("span", {}, kind));
}

function unitButton(unit, width) {
  const button = make("button", { type: "button", className: "unit", tabIndex: -1 });
  place(button, unit.left, unit.top, width);
  button.style.height = `${unit.bottom - unit.top}px`;
  button.addEventListener("click", () => {
    unit.button.focus();
    pick("unit", unit.values[0]);
  });
  button.addEventListener("focus", () => {
    for (const other of units.values()) other.button.tabIndex = other === unit ? 0 : -1;
  });
  unit.button = button;
  return button;
}

// A tab on a unit with its bias.
function tabOf(unit, name, left, top, width) {
  const tab = make("button", { type: "button", className: "bias", tabIndex: -1 });
  tab.addEventListener("click", () => pick("weight", name));
  const inset = width < 76 ? 2 : 8;
  place(tab, left + inset, top, width - 2 * inset);
  unit.tab = [name, tab];
  return tab;
}

function known(names) {
  return names.findLast((name) => {
    const line = row.lines[name];
    return line && (line.step === undefined || line.step <= state.step);
  });
}

// The value of a weight at this step: the new one after its update.
function weightNow(name) {
  const line = row.lines[name];
  return line?.step <= state.step ? line.value : row.weights[name].value;
}

function factorsOf(name) {
  const { terms = [], uses = [] } = row.lines[name] ?? {};
  return [...uses, ...terms.flatMap(({ factors }) => factors.map(([factor]) => withoutRow(factor)))];
}

// What a step computes, and what it uses: the keys of units and weights, as in "unit z1[0]".
function touched(step) {
  const now = new Set(step.lines.map((name) => owners.get(name)?.join(" ")));
  const used = new Set(step.lines.flatMap(factorsOf).map((name) => owners.get(name)?.join(" ")));
  for (const [from, to, name] of row.edges) {
    const forward = step.phase === "forward" || step.phase === "loss";
    if (!name && forward && now.has(`unit ${to}`)) used.add(`unit ${from}`);
  }
  return [now, used];
}

// Whether a step takes the value, or the delta, at the other end of a line without a weight.
function passes(step, from, to, now, used) {
  if (step.phase !== "backward") return step.phase !== "update" && now.has(`unit ${to}`);
  const unnamed = step.lines.some((name) => !row.lines[name].terms && !name.startsWith("g'"));
  return now.has(`unit ${from}`) && (unnamed || used.has(`unit ${to}`));
}

function mark() {
  const step = row.steps[state.step];
  const [now, used] = touched(step);
  const picked = state.pick?.join(" ");
  for (const [key, unit] of units) {
    fill(unit);
    unit.button.classList.toggle("now", now.has(`unit ${key}`));
    unit.button.classList.toggle("used", used.has(`unit ${key}`) && !now.has(`unit ${key}`));
    unit.button.ariaPressed = String(picked === `unit ${key}`);
    if (!unit.tab) continue;
    const [bias, tab] = unit.tab;
    tab.replaceChildren(`b ${brief(weightNow(bias))}`);
    tab.ariaLabel = `${bias} is ${weightNow(bias)}`;
    tab.title = `${bias} = ${weightNow(bias)}`;
    tab.classList.toggle("now", now.has(`weight ${bias}`));
    tab.classList.toggle("used", used.has(`weight ${bias}`));
    tab.classList.toggle("picked", picked === `weight ${bias}`);
  }
  for (const { 0: from, 1: to, 2: name, path } of row.edges) {
    const touches = now.has(`weight ${name}`) || used.has(`weight ${name}`);
    path.classList.toggle("now", name ? touches : passes(step, from, to, now, used));
    path.classList.toggle("picked", picked === `weight ${name}`);
  }
  const named = state.pick?.[0] === "weight" ? [state.pick[1]] : [];
  for (const name of state.pick ? linesOf(...state.pick) : []) {
    if (row.lines[name].step === state.step) named.push(...factorsOf(name));
  }
  showWeights(new Set(named));
  showFlow(step);
  markGrids();
  if (byId("words").open) describe();
}

// Write the numbers of a unit that are known at this step.
function fill(unit) {
  const { button, target } = unit;
  const value = known(unit.values);
  const delta = known(unit.deltas);
  const shown = value ?? unit.values[0];
  const name = shown.length > 10 ? shown.replace(/.*(?=\[)/, "") : shown; // it is in the heading
  const symbol = delta?.startsWith("δ") ? "δ" : "∂";
  const number = value && row.lines[value].value;
  const updated = value === "J" && known(["J_new"]);
  const small = byId("graph").classList.contains("small");
  const written = small ? brief : (text) => minus(short(text));
  let below = delta ? `${symbol} ${written(row.lines[delta].value)}` : "";
  if (updated) below = `→ ${minus(short(row.lines.J_new.value))}`;
  button.replaceChildren(
    make("span", { className: "name" }, ...nameOf(name)),
    make("span", { className: "value" }, value ? minus(short(number)) : "\u2013"),
    make("span", { className: "delta" }, below),
  );
  const aim = small ? "t" : "target";
  if (target) button.append(make("span", { className: "target" }, `${aim} ${written(target[1])}`));
  const share = unit.values.slice(-unit.column.shares).includes(value) ? number : 0;
  if (unit.column.shares) button.append(shareBar(share, target?.[1]));
  button.classList.toggle("waiting", !value);
  const words = [value ? `${shown} is ${number}` : `${shown}, not computed yet`];
  if (updated) words.push(`after the update ${row.lines.J_new.value}`);
  if (delta) words.push(`${delta} is ${row.lines[delta].value}`);
  if (target) words.push(`the target ${target[0]} is ${target[1]}`);
  button.ariaLabel = words.join(", ");
}

// A probability as a bar, with a mark at the target.
function shareBar(share, target) {
  const filled = make("span");
  filled.style.width = `${100 * Math.min(Math.max(Number(share) || 0, 0), 1)}%`;
  const made = make("span", { className: "share", ariaHidden: "true" }, filled);
  if (target === undefined) return made;
  const aim = make("i");
  aim.style.left = `calc(${100 * Number(target)}% - 1.5px)`;
  made.append(aim);
  return made;
}

function describe() {
  byId("description").replaceChildren(...row.columns.map((one) => make("li", {}, minus(inWords(one)))));
}

function reveal() {
  const step = row.steps[state.step];
  const owner = step.lines.map((name) => owners.get(name)).find(Boolean);
  if (!owner) return;
  const [kind, key] = owner;
  const held = [...units.values()].find(({ tab }) => tab?.[0] === key);
  const end = row.edges.find((edge) => edge[2] === key)?.[1];
  const unit = kind === "unit" ? units.get(key) : held ?? units.get(end);
  if (!unit) return;
  const scroll = byId("scroll");
  const left = (unit.left + unit.right) / 2 - scroll.clientWidth / 2;
  scroll.scrollTo({ left, behavior: still.matches ? "auto" : "smooth" });
}
