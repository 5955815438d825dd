// The selection: the numbers of a unit or a weight, and the sums behind them, term by term.

// δ1[2] for δ1[row 4,2]: the number of the same unit in another row.
function withoutRow(name) {
  return name.replace(/\[row \d+(?:,|\])(.*)/u, (_, rest) => (rest ? `[${rest}` : ""));
}

function nameButton(text) {
  const here = text.includes(`[row ${row.row},`) || text.endsWith(`[row ${row.row}]`);
  const owner = owners.get(here ? withoutRow(text) : text);
  if (!owner) return typeset(text);
  const button = make("button", { type: "button", className: "name" }, typeset(text));
  button.addEventListener("click", () => pick(...owner, true));
  return button;
}

function bar(value, largest) {
  const share = largest > 0 ? (Math.abs(value) / largest) * 50 : 0;
  const mark = make("span", { className: value < 0 ? "negative" : "" });
  mark.style.width = `${share}%`;
  mark.style.left = value < 0 ? `${50 - share}%` : "50%";
  return make("span", { className: "bar", ariaHidden: "true" }, mark);
}

function termRow(name, numbers, value, largest) {
  return make(
    "tr",
    {},
    make("td", {}, make("div", {}, ...name), make("div", { className: "in-numbers" }, ...numbers)),
    make("td", { className: "right-side" }, numeral(value)),
    make("td", { className: "bar-cell" }, bar(Number(value), largest)),
  );
}

function table(line) {
  const values = [...line.terms.map((term) => term.value), line.rest ?? "0"];
  const sizes = values.map((value) => Math.abs(Number(value))).filter(Number.isFinite);
  const largest = Math.max(...sizes);
  const body = make("tbody");
  for (const term of line.terms) {
    const names = term.factors.flatMap(([name, value], place) => {
      const shown = name === "factor" ? numeral(value) : nameButton(name);
      return place ? [" × ", shown] : [shown];
    });
    const numbers = term.factors.length > 1 ? [factorNumbers(term, true)] : [];
    body.append(termRow(names, numbers, term.value, largest));
  }
  if (line.omitted) body.append(termRow([`${line.omitted} others`], [], line.rest, largest));
  const heads = [["Term", ""], ["Value", "right-side"], ["Size", "bar-cell"]].map(
    ([title, className]) => make("th", { scope: "col", className }, title),
  );
  const total = make(
    "tr",
    {},
    make("td", {}, line.terms.length > 1 ? "Sum" : "Result"),
    make("td", { className: "right-side" }, numeral(line.value)),
    make("td"),
  );
  const head = make("thead", {}, make("tr", {}, ...heads));
  return make("table", {}, head, body, make("tfoot", {}, total));
}

// Whether a line is the update of what has the same name.
const isNew = (name) => row.lines[name].sign === "←" && row.weights[name] !== undefined;

// A sum is open at its step, and closed at the others.
function sumOf(name) {
  const line = row.lines[name];
  const step = row.steps[line.step];
  const go = make("button", { type: "button", className: "go" }, `step ${line.step + 1}`);
  go.addEventListener("click", () => goTo(line.step));
  const head = make("summary", {}, make("h3", {}, typeset(isNew(name) ? `new ${name}` : name)));
  head.append(make("span", { className: "tag" }, step.named));
  const sum = make("details", {}, head);
  sum.dataset.step = line.step;
  if (/ [=←] /u.test(step.equation)) {
    sum.append(make("div", { className: "formula later" }, typeset(step.equation)));
  }
  if (line.terms) sum.append(table(line));
  else sum.append(make("div", { className: "formula" }, inOneRow(line)));
  return make("div", { className: "sum" }, sum, go);
}

function openSum() {
  const sums = [...byId("pick").querySelectorAll("details")];
  const past = sums.findLast(({ dataset }) => Number(dataset.step) <= state.step) ?? sums[0];
  for (const sum of sums) {
    sum.open = sum === past;
    sum.classList.toggle("now", Number(sum.dataset.step) === state.step);
  }
}

function ownersOf(shown) {
  const found = new Map();
  for (const column of shown.columns) {
    for (const unit of column.units) {
      for (const name of [...unit.values, ...unit.deltas]) found.set(name, ["unit", unit.values[0]]);
    }
  }
  for (const [name, weight] of Object.entries(shown.weights)) {
    for (const known of [name, ...weight.lines]) found.set(known, ["weight", name]);
  }
  const ofLoss = ({ phase, path }) => phase === "loss" || (phase === "update" && !path);
  for (const step of shown.steps.filter(ofLoss)) {
    for (const name of step.lines.filter((one) => !found.has(one))) {
      const own = `J${/\|[\w.]+/u.exec(name)?.[0] ?? ""}`; // that of its output
      found.set(name, ["unit", units.has(own) ? own : "J"]);
    }
  }
  // A number in a matrix, and its delta, belong to its cell.
  for (const { name, shape, origin } of Object.values(shown.grids)) {
    if (name.startsWith("∂J/∂")) continue;
    const of = cellsOf(shape, origin).map((index) => `${name}[${index}]`);
    for (const cell of of.filter((one) => shown.lines[one] && !found.has(one))) {
      found.set(cell, ["cell", cell]);
    }
  }
  for (const name of Object.keys(shown.lines).filter((one) => one.startsWith("∂J/∂"))) {
    const cell = found.get(name.slice(4));
    if (cell && !found.has(name)) found.set(name, cell);
  }
  // The slope g'(z1[0]) belongs to z1[0], and each part of a delta to its unit.
  for (const name of Object.keys(shown.lines)) {
    const plain = name.replace(/^g'(?:\|[\w.]+)?\((.*)\)$/u, "$1").replace(/\|[\w.]+/u, "");
    if (!found.has(name) && found.has(plain)) found.set(name, found.get(plain));
  }
  return found;
}

function linesOf(kind, key) {
  return Object.keys(row.lines)
    .filter((name) => row.lines[name].step !== undefined)
    .filter((name) => owners.get(name)?.[0] === kind && owners.get(name)[1] === key)
    .sort((a, b) => row.lines[a].step - row.lines[b].step);
}

function numbers(pairs) {
  const made = make("dl", { className: "numbers" });
  for (const [name, value] of pairs) {
    made.append(make("div", {}, make("dt", {}, typeset(name)), make("dd", {}, numeral(value))));
  }
  return made;
}

function showPick() {
  const panel = byId("pick");
  panel.replaceChildren();
  if (!state.pick) {
    panel.append(make("p", { className: "more" }, "Select a unit or a weight: click a box or "
      + "a line of the network, or a blue name. Its value, its delta and its sums appear here."));
    return;
  }
  const [kind, key] = state.pick;
  const title = make("h2", { tabIndex: -1, id: "pick-title" });
  const names = linesOf(kind, key);
  if (kind === "unit") {
    const unit = units.get(key);
    title.append(isLoss(key) ? "Loss " : "Unit ", typeset(unit.values.join(" → ")));
    const known = [...unit.values, ...unit.deltas].filter((name) => row.lines[name]);
    panel.append(title, make("p", { className: "more" }, `of ${unit.column.title.join(" → ")}`));
    if (key === "J" && row.lines.J_new) known.push("J_new");
    panel.append(numbers(known.map((name) => [name, row.lines[name].value])));
  } else if (kind === "cell") {
    title.append("Number ", typeset(key));
    const { path } = row.steps[row.lines[key].step];
    panel.append(title, make("p", { className: "more" }, `of ${path}`));
    panel.append(numbers(names.map((name) => [name, row.lines[name].value])));
  } else {
    const weight = row.weights[key];
    const kinds = { weight: "Weight ", bias: "Bias " };
    title.append(kinds[weight.of.split(".").pop()] ?? "Parameter ", typeset(key));
    const ends = row.edges.find((edge) => edge[2] === key);
    const place = make("p", { className: "more" }, `of ${weight.of}`);
    if (ends) place.append(", from ", nameButton(ends[0]), " to ", nameButton(ends[1]));
    panel.append(title, place);
    const known = names.map((name) => [isNew(name) ? `new ${name}` : name, row.lines[name].value]);
    panel.append(numbers([[key, weight.value], ...known]));
  }
  panel.append(...names.map(sumOf));
  openSum();
}

function select(kind, key) {
  const within = byId("pick").contains(document.activeElement);
  state.pick = [kind, key];
  showPick();
  if (within) byId("pick-title").focus({ preventScroll: true });
}

function pick(kind, key, follow = false) {
  select(kind, key);
  mark();
  byId("status").textContent = byId("pick-title").textContent;
  if (follow) byId("pick-title").focus({ preventScroll: true });
  if (follow) byId("pick").scrollIntoView({ block: "nearest" });
}

function clearPick() {
  if (!state.pick) return;
  const [kind, key] = state.pick;
  state.pick = null;
  showPick();
  mark();
  if (kind === "unit") units.get(key).button.focus();
}
