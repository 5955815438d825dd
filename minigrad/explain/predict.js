// Predict before you see: a step's numbers are hidden until the reader has predicted the first one.
// A wrong answer is compared with those that usual mistakes give, from the terms of the line.

const CLOSE = 0.02; // how far a prediction may be off, relative to the number
const prediction = { on: false, done: new Set(), right: 0, asked: 0, tries: 0, said: "" };

const here = () => `${row.row} ${state.step}`;
const numberOf = (written) => Number(String(written).replace("\u2212", "-").replace(",", "."));
const isClose = (a, b, size = b) => Math.abs(a - b) <= Math.max(CLOSE * Math.abs(size), 1e-6);
const UPDATE = /^(\S+) - (\S+) × \(?(-?[\d.e-]+)\)?$/u;
const product = (factors) => factors.reduce((result, [, value]) => result * Number(value), 1);

// The line that is asked for: the first with a number; the last step is an estimate of a change.
function asked() {
  const step = row.steps[state.step];
  if (step.phase === "update" && !step.path) return undefined;
  return step.lines.find((name) => Number.isFinite(Number(row.lines[name].value)) && !row.lines[name].omitted);
}

// The numbers that the line is computed from, by name.
function given(line) {
  if (line.terms) return line.terms.flatMap(({ factors }) => factors);
  const numbers = [...new Set((line.formula ?? "").match(/\d+\.\d+(?:e[+-]?\d+)?/gu))];
  const before = Object.entries(row.lines).filter(([, one]) => (one.step ?? -1) < line.step);
  const all = [...before, ...Object.entries(row.weights)];
  return numbers.flatMap((written) => {
    const found = all.findLast(([, { value }]) => value.replace("-", "") === written);
    return found ? [[found[0], found[1].value]] : [];
  });
}

// What usual mistakes give: [number, what is wrong].
function* mistakes(name, line) {
  const step = row.steps[state.step];
  const terms = line.terms ?? [];
  for (const [place, { factors }] of terms.entries()) {
    const rest = terms.reduce((sum, term, i) => (i === place ? sum : sum + Number(term.value)), 0);
    for (const [place2, [factor]] of factors.entries()) {
      if (factors.length < 2) break;
      const others = product(factors.filter((_, i) => i !== place2));
      const late = factor.startsWith("g'") ? ": that is delta before the slope" : "";
      yield [rest + others, `lacks the factor ${factor}${late}`];
      yield* beforeSlope(factor, rest, factors, place2);
    }
    if (terms.length > 1) {
      const names = factors.map(([factor]) => factor).join(" × ");
      yield [rest, `lacks the term ${names}`];
      yield [rest - Number(line.terms[place].value), `has the wrong sign in the term ${names}`];
    }
  }
  for (const other of step.lines) {
    if (other !== name) yield [Number(row.lines[other].value), `is ${other}: that is another index`];
  }
  const update = UPDATE.exec(line.formula ?? "");
  if (step.phase === "update" && update) {
    const [old, rate, gradient] = update.slice(1).map(Number);
    yield [old + rate * gradient, "goes along the gradient: subtract the step"];
    yield [old - gradient, "lacks the learning rate"];
    yield [rate * gradient, "is the step: subtract it from the weight"];
    yield [old, "is the weight before the update"];
  }
  for (const [factor, value] of given(line)) yield [Number(value), `is ${factor} itself`];
  yield [2 * Number(line.value), "is twice the right one"];
  yield [Number(line.value) / 2, "is half the right one"];
}

// dJ/da in the place of delta = dJ/da g'(z).
function* beforeSlope(factor, rest, factors, place) {
  const parts = factor.startsWith("δ") ? row.lines[factor]?.terms?.[0].factors ?? [] : [];
  if (parts.length < 2) return;
  const [[before, value]] = parts;
  const changed = factors.map((one, i) => (i === place ? [before, value] : one));
  yield [rest + product(changed), `uses ${before} for ${factor}: that is delta before the slope`];
}

// How large a number is to be told from others: a step is small beside its weight.
function sizeOfAnswer(line) {
  const update = UPDATE.exec(line.formula ?? "");
  return update ? 10 * Number(update[2]) * Number(update[3]) : Number(line.value);
}

function reason(answer, name, line) {
  if (!Number.isFinite(answer)) return "Type a number, such as -0.25.";
  const right = Number(line.value);
  if (isClose(-answer, right)) return "The size is right. The number has the wrong sign.";
  const differs = ([wrong]) => Number.isFinite(wrong) && wrong !== 0 && !isClose(wrong, right, sizeOfAnswer(line));
  const all = [...mistakes(name, line)].filter(differs);
  for (const [sign, also] of [[1, ""], [-1, ", and has the wrong sign"]]) {
    const found = all.find(([wrong]) => isClose(sign * answer, wrong, UPDATE.test(line.formula ?? "") ? sizeOfAnswer(line) : wrong));
    if (found) return `Your number ${found[1]}${also}.`;
  }
  return "That isn't it. Look at the equation: which numbers does it multiply, and which does it add?";
}

function check(event) {
  event.preventDefault();
  const name = asked();
  const answer = numberOf(byId("answer").value.trim() || "?");
  const right = isClose(answer, Number(row.lines[name].value), sizeOfAnswer(row.lines[name]));
  if (Number.isFinite(answer)) prediction.tries += 1;
  if (right) finish(prediction.tries === 1, "Right.");
  else byId("verdict").textContent = minus(reason(answer, name, row.lines[name]));
}

function finish(first, said) {
  prediction.asked += 1;
  prediction.right += first ? 1 : 0;
  prediction.done.add(here());
  prediction.said = `${said} ${prediction.right} of ${prediction.asked} at the first attempt.`;
  showStep();
  byId("next").focus({ preventScroll: true });
}

function question() {
  const form = make("form", { id: "question", hidden: true });
  const label = make("label", { id: "asks", htmlFor: "answer" });
  const answer = make("input", { id: "answer", type: "text", inputMode: "decimal", autocomplete: "off" });
  const show = make("button", { type: "button" }, "Show");
  show.addEventListener("click", () => finish(false, "Shown."));
  const line = make("div", { className: "ask" }, label, answer, make("button", { type: "submit" }, "Check"), show);
  form.append(make("p", { id: "given" }), line, make("p", { id: "verdict", role: "status" }));
  form.addEventListener("submit", check);
  byId("lines").before(form);

  const toggle = make("button", { type: "button", id: "predict", ariaPressed: "false" }, "Predict");
  toggle.title = "Predict each number before you see it";
  toggle.addEventListener("click", () => {
    prediction.on = !prediction.on;
    prediction.done.clear();
    toggle.ariaPressed = String(prediction.on);
    showStep();
    if (prediction.on && asked()) byId("answer").focus({ preventScroll: true });
  });
  byId("count").after(toggle);
}

// Ask for a number of the step that is shown.
function ask() {
  if (!byId("question")) question();
  const name = prediction.on && !prediction.done.has(here()) ? asked() : undefined;
  const step = row.steps[state.step];
  byId("main").classList.toggle("asking", name !== undefined);
  byId("main").classList.toggle("asks-delta", step.phase === "backward");
  const answered = prediction.on && prediction.done.has(here());
  byId("question").hidden = name === undefined && !answered;
  byId("question").classList.toggle("answered", answered);
  if (name === undefined) {
    byId("verdict").textContent = answered ? prediction.said : "";
    return;
  }
  if (prediction.at !== here()) Object.assign(prediction, { tries: 0, at: here() });
  const line = row.lines[name];
  const list = [...new Map(given(line))].filter(([one]) => one !== "factor").map(([one, value]) => `${one} = ${value}`);
  byId("asks").replaceChildren("Predict ", typeset(isNew(name) ? `new ${name}` : name), " =");
  byId("given").replaceChildren(...list.flatMap((one, i) => [i ? ", " : "From ", typeset(one)]));
  byId("answer").value = "";
  byId("verdict").textContent = "";
}
