// The graph of a row: what each unit is computed from, and the columns of units by depth.

const isLoss = (name) => name === "J" || name.startsWith("J|");

// What each unit is computed from: [from, to, weight], where a weight is in the product. A
// parameter that is a term by itself becomes the unit's bias.
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
  return [...edges.values()];
}

function biasOf(unit) {
  const terms = unit.values.flatMap((name) => row.lines[name]?.terms ?? []);
  return terms.find(({ factors }) => factors.length === 1 && row.weights[factors[0][0]])?.factors[0][0];
}

// The columns by depth. An edge that passes a column has a lane there; columns and lanes of one
// depth are in the order of what they come from, a lane above a column.
function stacksOf(shown) {
  const stacks = [];
  const before = new Map();
  const put = (item, depth) => {
    (stacks[depth] ??= []).push(item);
    before.set(item, []);
  };
  const lanes = new Map();
  for (const edge of shown.edges) {
    const [from, to] = edge.map((key) => units.get(key)?.column);
    edge.lanes = [];
    for (let x = from.depth + 1; x < to.depth; x += 1) {
      const way = `${shown.columns.indexOf(from)} ${shown.columns.indexOf(to)}`;
      const key = `${way} ${x}`;
      if (!lanes.has(key)) {
        lanes.set(key, { way, lane: [], units: [] });
        put(lanes.get(key), x);
      }
      lanes.get(key).lane.push(edge);
      edge.lanes.push(lanes.get(key));
    }
  }
  for (const column of shown.columns) put(column, column.depth);
  for (const edge of shown.edges) {
    const [from, to] = edge.map((key) => units.get(key)?.column);
    const way = [from, ...edge.lanes, to];
    for (let i = 1; i < way.length; i += 1) before.get(way[i]).push(way[i - 1]);
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

// What a column takes and gives, in words, with the numbers that are known.
function inWords(column) {
  const sources = new Set();
  for (const [from, to] of row.edges) {
    if (column === units.get(to).column) sources.add(titleOf(units.get(from).column));
  }
  const numbers = column.units.map((unit) => units.get(unit.values[0]).button.ariaLabel);
  const rest = column.size - column.units.length;
  if (rest) numbers.push(`${rest} more`);
  const from = sources.size ? `, from ${[...sources].join(" and ")}` : "";
  return `${titleOf(column)}${from}: ${numbers.join("; ")}.`;
}

// The first path is whole; the others lack what they have in common with it.
function titleOf({ title }) {
  const [first, ...others] = title;
  const outer = first.slice(0, first.lastIndexOf(".") + 1);
  const short = others.map((path) => {
    if (path.startsWith(`${first}.`)) return path.slice(first.length + 1);
    return path.startsWith(outer) ? path.slice(outer.length) : path;
  });
  return [first, ...short].join(" → ");
}
