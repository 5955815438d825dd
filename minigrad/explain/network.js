// The diagram: columns of units, the edges between them, and a mark on those of the current step.

const WIDE = { width: 104, height: 64, gaps: [56, 110], space: 12, head: 56, edge: 16 };
const NARROW = { width: 78, height: 62, gaps: [30, 40], space: 10, head: 72, edge: 4 };
const narrow = matchMedia("(max-width: 640px)");
const still = matchMedia("(prefers-reduced-motion: reduce)");

// What each unit is computed from: [from, to, weight], where a weight is in the product.
function edgesOf(shown) {
  const keys = new Map();
  const edges = new Map();
  const alone = new Set();
  const add = (source, to, weight) => {
    const from = keys.get(source);
    if (from && from !== to) edges.set(`${from} ${to} ${weight}`, [from, to, weight]);
    return from;
  };
  for (const [key, unit] of units) for (const name of unit.values) keys.set(name, key);
  for (const [name, key] of keys) {
    let linked = false;
    const terms = isLoss(name) ? [] : shown.lines[name].terms ?? [];
    for (const { factors } of terms) {
      const weight = factors.find(([factor]) => shown.weights[factor])?.[0] ?? "";
      for (const [factor] of factors) linked = add(factor, key, weight) || linked;
    }
    for (const from of linked ? [] : [shown.inputs[name]].flat()) {
      linked = add(from, key, "") || linked;
    }
    if (!linked) alone.add(key);
  }
  // For the others, the deltas that they pass back say what they depend on.
  for (const [name, line] of Object.entries(shown.lines)) {
    const [, source] = owners.get(name) ?? [];
    const back = shown.steps[line.step]?.phase === "backward";
    for (const { factors } of back ? line.terms ?? [] : []) {
      const [kind, key] = owners.get(factors[0][0]) ?? [];
      const slope = Number(factors.at(-1)[1]);
      if (kind === "unit" && alone.has(key) && units.has(source) && slope) add(source, key, "");
    }
  }
  if (!shown.inputs.J) for (const unit of shown.columns.at(-2).units) add(unit.values.at(-1), "J", "");
  return [...edges.values()];
}

// The columns by depth. In a graph, an edge that passes a column has a lane of its own there, and
// columns and lanes of one depth are in the order of what they come from.
function stacksOf(shown) {
  const stacks = [];
  const before = new Map();
  const put = (item, depth) => {
    (stacks[depth] ??= []).push(item);
    before.set(item, []);
  };
  shown.columns.forEach((column, x) => put(column, column.depth ?? x));
  if (!shown.graph) return stacks;
  const lanes = new Map();
  for (const edge of shown.edges) {
    const [from, to] = edge.map((key) => units.get(key)?.column);
    let last = from;
    edge.lanes = [];
    for (let x = from.depth + 1; x < to.depth; x += 1) {
      const key = `${shown.columns.indexOf(from)} ${x}`;
      const lane = lanes.get(key) ?? { units: [], size: 0, edges: [] };
      if (!lanes.has(key)) put(lane, x);
      lanes.set(key, lane);
      before.get(lane).push(last);
      if (!lane.edges.includes(edge[0])) lane.edges.push(edge[0]);
      edge.lanes.push(lane);
      last = lane;
    }
    before.get(to).push(last);
  }
  const middles = new Map();
  for (const stack of stacks) {
    const mean = (all) => all.reduce((sum, one) => sum + middles.get(one), 0) / (all.length || 1);
    stack.sort((a, b) => mean(before.get(a)) - mean(before.get(b)));
    let above = -stack.reduce((sum, item) => sum + item.units.length + 1, 0) / 2;
    for (const item of stack) {
      middles.set(item, above + (item.units.length + 1) / 2);
      above += item.units.length + 1;
    }
  }
  return stacks;
}

const LANE = 6; // pixels between the edges of a lane

const isLoss = (name) => name === "J" || name.startsWith("J|");

function draw() {
  const graph = byId("graph");
  const size = { ...(narrow.matches ? NARROW : WIDE) };
  const many = row.stacks.length;
  const free = byId("scroll").clientWidth - 8 - many * size.width - 2 * size.edge;
  const [least, most] = size.gaps;
  size.gap = Math.min(Math.max(free / (many - 1), least), most);
  const pitch = size.height + size.space;
  // In a graph, columns of one depth stand one above the other, each with its own heading.
  const heightOf = (column) => {
    if (column.edges) return (column.edges.length + 2) * LANE;
    const more = row.graph && column.size > column.units.length ? 24 : 0;
    return size.head + column.units.length * pitch + more;
  };
  const total = (columns) => columns.reduce((sum, column) => sum + heightOf(column), 0);
  const tallest = Math.max(...row.stacks.map(total));
  const width = many * (size.width + size.gap) - size.gap + 2 * size.edge;
  const height = tallest + 24;
  graph.replaceChildren();
  graph.style.width = `${width}px`;
  graph.style.height = `${height}px`;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  graph.append(svg);
  row.stacks.forEach((columns, x) => {
    const left = size.edge + x * (size.width + size.gap);
    let above = (tallest - total(columns)) / 2;
    for (const column of columns) {
      if (column.edges) {
        Object.assign(column, { left, right: left + size.width, above });
        above += heightOf(column);
        continue;
      }
      graph.append(heading(column, x, left, row.graph ? above : 0, size));
      const top = above + size.head;
      column.units.forEach((unit, y) => {
        const known = units.get(unit.values[0]);
        known.left = left;
        known.middle = top + y * pitch + size.height / 2;
        known.right = left + size.width;
        graph.append(unitButton(known, size));
      });
      const rest = column.size - column.units.length;
      if (rest) {
        const more = make("div", { className: "column" }, make("span", {}, `${rest} more`));
        place(more, left, top + column.units.length * pitch, size.width);
        graph.append(more);
      }
      above += heightOf(column);
    }
  });
  drawEdges(svg);
}

function place(element, left, top, width) {
  element.style.left = `${left}px`;
  element.style.top = `${top}px`;
  element.style.width = `${width}px`;
}

function heading(column, x, left, top, size) {
  const many = column.size === 1 ? "1 unit" : `${column.size} units`;
  const last = isLoss(column.units[0].values[0]);
  const kind = last ? "loss" : x === 0 ? `${column.size} number${column.size === 1 ? "" : "s"}` : many;
  const title = make("b", {}, column.title.map((path) => path.split(".").pop()).join(" → "));
  const made = make("div", { className: "column", title: column.title.join(", ") }, title);
  made.append(make("span", {}, kind));
  const over = x === 0 || last ? size.edge : size.gap / 2 - 4;
  place(made, left - over, top, size.width + 2 * over);
  return made;
}

function unitButton(unit, size) {
  const button = make("button", { type: "button", className: "unit", tabIndex: -1 });
  place(button, unit.left, unit.middle - size.height / 2, size.width);
  button.style.height = `${size.height}px`;
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

function drawEdges(svg) {
  const largest = new Map();
  for (const [, , name] of row.edges.filter((edge) => edge[2])) {
    const { of, value } = row.weights[name];
    largest.set(of, Math.max(largest.get(of) ?? 0, Math.abs(Number(value)) || 0));
  }
  for (const edge of row.edges) {
    const [from, to, name] = edge;
    const start = units.get(from);
    const end = units.get(to);
    const points = [[start.right, start.middle]];
    for (const lane of edge.lanes ?? []) {
      const y = lane.above + (lane.edges.indexOf(from) + 1.5) * LANE;
      points.push([lane.left, y], [lane.right, y]);
    }
    points.push([end.left, end.middle]);
    let d = `M${points[0].join(" ")}`;
    for (let i = 1; i < points.length; i += 1) {
      const [[x, y], [right, below]] = [points[i - 1], points[i]];
      const bend = (right - x) / 2;
      d += `C${x + bend} ${y} ${right - bend} ${below} ${right} ${below}`;
    }
    const path = document.createElementNS(svg.namespaceURI, "path");
    path.setAttribute("d", d);
    path.setAttribute("class", "edge plain");
    path.setAttribute("stroke-width", "1.5");
    if (name) {
      const { of, value } = row.weights[name];
      const share = Math.abs(Number(value)) / (largest.get(of) || 1);
      path.setAttribute("class", Number(value) < 0 ? "edge negative" : "edge");
      path.setAttribute("stroke-width", (1.2 + 4 * (share || 0)).toFixed(2));
      const hit = document.createElementNS(svg.namespaceURI, "path");
      hit.setAttribute("d", d);
      hit.setAttribute("class", "hit");
      const title = document.createElementNS(svg.namespaceURI, "title");
      title.textContent = `${name} = ${value}`;
      hit.append(title);
      hit.addEventListener("click", () => pick("weight", name));
      svg.append(hit);
    }
    svg.append(path);
    edge.path = path;
  }
}

function known(names) {
  return names.findLast((name) => {
    const line = row.lines[name];
    return line && (line.step === undefined || line.step <= state.step);
  });
}

function mark() {
  const step = row.steps[state.step];
  const now = new Set(step.lines.map((name) => owners.get(name)?.join(" ")));
  const used = new Set();
  for (const name of step.lines) {
    for (const term of row.lines[name].terms ?? []) {
      for (const [factor] of term.factors) if (row.weights[factor]) used.add(factor);
    }
    if (owners.get(name)?.[0] === "weight") used.add(owners.get(name)[1]);
  }
  for (const [key, unit] of units) {
    const value = known(unit.values);
    const delta = known(unit.deltas);
    const shown = value ?? unit.values[0];
    const name = shown.length > 12 ? shown.replace(/.*(?=\[)/, "") : shown; // it is in the heading
    const symbol = delta?.startsWith("δ") ? "δ" : "∂";
    unit.button.replaceChildren(
      make("span", { className: "name" }, ...nameOf(name)),
      make("span", { className: "value" }, value ? minus(short(row.lines[value].value)) : "\u2013"),
      make("span", { className: "delta" }, delta ? `${symbol} ${minus(short(row.lines[delta].value))}` : ""),
    );
    const picked = state.pick?.[0] === "unit" && state.pick[1] === key;
    unit.button.classList.toggle("now", now.has(`unit ${key}`));
    unit.button.classList.toggle("waiting", !value);
    unit.button.ariaPressed = String(picked);
    const word = value ? `${shown} is ${row.lines[value].value}` : `${shown}, not computed yet`;
    unit.button.ariaLabel = delta ? `${word}, ${delta} is ${row.lines[delta].value}` : word;
  }
  for (const edge of row.edges) {
    const [from, to, name] = edge;
    const passed = step.phase === "backward" ? from : to;
    edge.path.classList.toggle("now", name ? used.has(name) : now.has(`unit ${passed}`));
    edge.path.classList.toggle("picked", state.pick?.[0] === "weight" && state.pick[1] === name);
  }
}

function reveal() {
  const first = row.steps[state.step].lines.map((name) => owners.get(name));
  const owner = first.find(Boolean);
  if (!owner) return;
  const [kind, key] = owner;
  const unit = units.get(kind === "unit" ? key : row.edges.find((edge) => edge[2] === key)?.[1]);
  if (!unit) return;
  const scroll = byId("scroll");
  const left = (unit.left + unit.right) / 2 - scroll.clientWidth / 2;
  scroll.scrollTo({ left, behavior: still.matches ? "auto" : "smooth" });
}
