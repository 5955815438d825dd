// The page: what it shows of the session, and what a reader changes. Python computes; this draws.

import { byId, classColor, color, make, readColors, short, whole } from "./tools.js";
import { connect, Gone, inWorker } from "./transport.js";
import { drawLosses } from "./chart.js";
import { CAPTIONS, drawPlane, drawThumbnail, placeOf } from "./plane.js";
import { Network } from "./network.js";

const PROBLEMS = {
  moons: "Moons", circles: "Circles", xor: "XOR", gaussians: "Two Gaussians", spiral: "Spiral",
  blobs: "Three classes", wave: "Wave", total: "Sum", gaussian_sum: "Sum of Gaussians",
  digits: "Digits", own: "Your own",
};
const WORDS = {
  leaky_relu: "leaky ReLU", relu: "ReLU", gelu: "GELU", glorot_uniform: "Glorot", he_normal: "He",
  BCEWithLogitsLoss: "cross-entropy", CrossEntropyLoss: "cross-entropy", MSELoss: "mean squared",
  L1Loss: "mean absolute", HuberLoss: "Huber", linear: "none",
};
const NUMBERS = {
  batch_size: [1, 4, 8, 16, 32, 64, 128, 300, 1000], strength: [0.0001, 0.001, 0.01, 0.1, 1],
  scale: [0.01, 0.1, 1, 10, 100, 1000], initial_bias: [-5, -1, 0, 1], dropout: [0, 0.1, 0.2, 0.5],
};
const SLIDERS = { noise: (v) => v.toFixed(2), test_share: (v) => `${Math.round(100 * v)} %`, rows: whole };
const CHECKS = ["standardize", "batch_norm", "residual"];
const BUDGET = 0.022; // seconds of training in a frame

const state = {
  playing: false, moment: null, row: 0, version: 0, kept: [], speed: 0, selection: null,
  drawn: [], library: "minigrad", pending: {}, gone: false,
};
window.playground = state; // for whoever looks from the console
let python; // the session
let network;

// What is said

function say(text, bad = false) {
  byId("notice").textContent = text;
  byId("notice").classList.toggle("bad", bad);
}

function fail(error) {
  if (!(error instanceof Gone)) throw error;
  state.gone = true;
  state.playing = false;
  showPlay();
  say(error.message, true);
}

// Ask Python; an error in the answer is shown, and gives null.
async function ask(message, aside = false) {
  if (state.gone) return null;
  try {
    const answer = await (aside ? python.aside : python.ask)(message);
    if (!answer.error) return answer;
    say(answer.error, true);
  } catch (error) {
    fail(error);
  }
  return null;
}

// What is shown

function summary({ scores, epoch, at_epoch: past } = state.frame) {
  const of = (name) => (scores[name] ? `${name === "train" ? "training" : "test"} loss ${short(scores[name].loss)}` : "");
  return `Epoch ${whole(epoch ?? past)}: ${[of("train"), of("test")].filter(Boolean).join(", ")}.`;
}

function showScores({ scores }) {
  const items = [];
  for (const [part, name] of [["train", "Training"], ["test", "Test"]]) {
    if (!scores[part]) continue;
    items.push([`${name} loss`, short(scores[part].loss), part]);
    if (scores[part].accuracy !== undefined) items.push([`${name} accuracy`, `${(100 * scores[part].accuracy).toFixed(1)} %`, part]);
  }
  byId("scores").replaceChildren(...items.map(([name, value, part]) =>
    make("div", { className: part }, make("dt", {}, name), make("dd", {}, value))));
}

function draw() {
  const { frame, past, data } = state;
  const shown = past ?? frame;
  network.selection = state.selection;
  network.draw(shown, state.row);
  drawPlane(byId("plane"), data, shown, state.row, state.version, { test: byId("show-test").checked, discrete: byId("discrete").checked });
  drawLosses(byId("losses"), frame.curve, state.kept, past ? past.at_epoch : null);
  showScores(shown);
  const inWords = `${CAPTIONS[data.kind === "map" ? data.targets : data.kind]} ${summary(shown)}`;
  byId("plane").ariaLabel = inWords;
  byId("losses").ariaLabel = `The losses over ${whole(frame.epoch)} epochs. ${summary(shown)}`;
  byId("epoch").textContent = whole(past ? past.at_epoch : frame.epoch);
  byId("steps").textContent = whole(past ? past.update : frame.steps);
  byId("speed").textContent = state.speed ? whole(Math.round(state.speed)) : "–";
  const last = Math.max(1, frame.moments - 1);
  byId("moment").max = last;
  byId("moment").disabled = frame.moments < 2;
  byId("moment").value = past ? past.moment : last;
  byId("moment").ariaValueText = `update ${past ? past.update : frame.steps}`;
  byId("past-label").textContent = past ? `Update ${whole(past.update)}` : "Run";
  document.body.classList.toggle("past-shown", Boolean(past));
  showSelection();
}

function soon() {
  if (state.waiting) return;
  state.waiting = true;
  requestAnimationFrame(() => { state.waiting = false; if (state.frame) draw(); });
}

// Take an answer that has a frame, and perhaps settings and data.
function take(answer) {
  if (!answer) return;
  state.frame = answer;
  state.past = null;
  if (answer.settings) takeSettings(answer);
  if (answer.made && answer.seconds) {
    const speed = answer.made / answer.seconds;
    state.speed = state.speed ? state.speed + 0.1 * (speed - state.speed) : speed;
  }
  if (answer.ended) {
    state.playing = false;
    showPlay();
    say(`Training diverged: ${answer.ended}.`, true);
  } else if (answer.waiting) say(`The link's run is made again: ${whole(answer.waiting)} epochs to go.`);
  soon();
}

function takeSettings(answer) {
  const { settings, data, shapes } = answer;
  const shape = JSON.stringify([shapes, data.kind, data.inputs, data.targets]);
  const fresh = shape !== state.shape || state.data?.kind !== data.kind;
  Object.assign(state, { settings, data, shapes, shape, version: state.version + 1 });
  if (fresh) state.selection = null;
  network.build(data, settings, shapes);
  state.row = Math.min(state.row, data.train.x.length - 1);
  showControls();
}

// Controls

function option(value, text) {
  return make("option", { value: String(value) }, text ?? WORDS[value] ?? String(value));
}

function fillSelect(name, values) {
  const select = byId(name);
  const now = state.settings[name];
  const all = values.includes(now) ? values : [...values, now].sort((a, b) => a - b);
  if (select.dataset.values !== all.join()) {
    select.replaceChildren(...all.map((value) => option(value)));
    select.dataset.values = all.join();
  }
  select.value = String(now);
}

function showControls() {
  const { settings, choices, data } = state;
  for (const name of ["optimizer", "regularizer", "activation", "output", "initializer"]) fillSelect(name, choices[name]);
  fillSelect("loss", choices.loss[data.targets]);
  for (const [name, values] of Object.entries(NUMBERS)) fillSelect(name, values);
  for (const [name, written] of Object.entries(SLIDERS)) {
    if (document.activeElement !== byId(name)) byId(name).value = settings[name];
    byId(`${name}-value`).textContent = written(settings[name]);
  }
  for (const name of CHECKS) byId(name).checked = settings[name];
  byId("looks").hidden = !["map", "curve"].includes(data.kind);
  byId("features").hidden = data.kind !== "map";
  for (const button of byId("feature-buttons").children) button.ariaPressed = String(settings.features.includes(button.value));
  if (document.activeElement !== byId("learning_rate")) byId("learning_rate").value = Math.log10(settings.learning_rate);
  showRate(settings.learning_rate);
  if (document.activeElement !== byId("seed")) byId("seed").value = settings.seed;
  byId("strength").disabled = settings.regularizer === "none";
  byId("output").disabled = data.targets === "classes";
  for (const name of ["noise", "rows"]) byId(name).disabled = settings.data === "own";
  for (const button of byId("problems").children) {
    button.ariaChecked = String(button.value === settings.data);
    button.tabIndex = button.value === settings.data ? 0 : -1;
  }
  const layers = settings.hidden.length;
  byId("layer-count").textContent = `${layers} hidden layer${layers === 1 ? "" : "s"}`;
  byId("fewer-layers").disabled = layers === 0;
  byId("more-layers").disabled = layers >= choices.layers;
  byId("drawing").hidden = settings.data !== "own" && !state.drawing;
  byId("row").max = data.train.count - 1;
  byId("plane-caption").textContent = CAPTIONS[data.kind === "map" ? data.targets : data.kind];
  byId("legend-units").textContent = {
    map: "A unit's map is its output over the plane; the bar below is its bias.",
    curve: "A unit's curve is its output over the input.",
    pictures: "A unit of the first layer shows its 64 weights.",
    table: "The color of a unit is its output for the row.",
  }[data.kind];
}

function showRate(rate) {
  byId("rate-value").textContent = short(rate);
  byId("learning_rate").ariaValueText = short(rate);
}

const asNumber = (name, text) => (name in NUMBERS ? Number(text) : text);

// Changes are sent one after another; those that come meanwhile are sent together.
async function change(settings) {
  Object.assign(state.pending, settings);
  if (state.changing) return;
  state.changing = true;
  while (Object.keys(state.pending).length) {
    const now = state.pending;
    state.pending = {};
    const answer = await ask({ do: "change", settings: now, row: state.row });
    if (!answer) showControls();
    else {
      const kept = answer.kept || state.frame.epoch === 0;
      say(kept ? summaryOfChange(now) : "The network starts again with this change.");
      take(answer);
      lookSoon(1500);
    }
  }
  state.changing = false;
}

function summaryOfChange(settings) {
  const names = Object.keys(settings).map((name) => name.replaceAll("_", " "));
  return `Changed: ${names.join(", ")}.`;
}

// Training

function showPlay() {
  byId("play").textContent = state.playing ? "Pause" : "Train";
  byId("play").classList.toggle("playing", state.playing);
}

const frameOfScreen = () => new Promise((done) => {
  const late = setTimeout(done, 250); // a hidden page draws nothing, but trains on
  requestAnimationFrame(() => { clearTimeout(late); done(); });
});

async function play(playing) {
  if (state.playing === playing) return;
  if (playing && state.frame.ended) {
    say("This run diverged. Change something, or start again.", true);
    return;
  }
  state.playing = playing;
  showPlay();
  if (!playing) {
    say(summary());
    lookSoon(300);
    return;
  }
  say("Training.");
  lookSoon(4000);
  let next = ask({ do: "frame", budget: BUDGET, row: state.row });
  while (state.playing) {
    const answer = await next;
    if (!answer) { state.playing = false; break; }
    take(answer);
    if (state.replaying && !answer.waiting) { // the link's run is complete
      state.playing = state.replaying = false;
      say(summary());
    }
    if (!state.playing) { next = null; break; }
    next = ask({ do: "frame", budget: BUDGET, row: state.row });
    await frameOfScreen();
    if (performance.now() - (state.said ?? 0) > 6000 && !answer.waiting) {
      state.said = performance.now();
      say(summary());
    }
  }
  if (next) take(await next);
  showPlay();
}

async function restart(settings) {
  const answer = await ask({ do: "restart", ...(settings ? { settings } : {}) });
  if (!answer) return;
  state.speed = 0;
  say(settings ? state.about ?? "" : "The run starts again.");
  take(answer);
  byId("findings").replaceChildren();
  lookSoon(600);
}

async function oneEpoch() {
  await play(false);
  take(await ask({ do: "frame", epochs: 1, row: state.row }));
  say(summary());
}

async function look(moment) {
  if (state.playing) await play(false);
  if (moment >= state.frame.moments - 1) {
    state.past = null;
    return soon();
  }
  state.wanted = moment;
  if (state.looking) return undefined;
  state.looking = true;
  while (state.wanted !== null) {
    const now = state.wanted;
    state.wanted = null;
    const answer = await ask({ do: "look", moment: now, row: state.row });
    if (answer) state.past = answer;
    soon();
  }
  state.looking = false;
  return undefined;
}

// The selection: a unit with the weights that come to it, or one weight

async function setWeight(layer, source, unit, value) {
  state.weight = { layer, source, unit, value };
  if (state.setting) return;
  state.setting = true;
  while (state.weight) {
    const now = state.weight;
    state.weight = null;
    take(await ask({ do: "weight", ...now, row: state.row }));
  }
  state.setting = false;
}

function select(selection) {
  state.selection = selection;
  state.panel = null;
  soon();
}

function slider(name, layer, source, unit) {
  const value = make("output");
  const range = make("input", { type: "range", min: -5, max: 5, step: 0.01, ariaLabel: name });
  range.addEventListener("input", () => setWeight(layer, source, unit, Number(range.value)));
  const open = make("button", { type: "button", className: "small" }, "Equation");
  open.addEventListener("click", () => explain(source === null ? { part: "bias", layer, unit } : { part: "weight", layer, source, unit }));
  const line = make("div", { className: "weight" }, make("span", {}, name), range, value, open);
  return { line, layer, source, unit, range, value };
}

function showSelection() {
  const root = byId("selection");
  const chosen = state.selection;
  root.hidden = !chosen;
  if (!chosen) return;
  const { layer, unit, source, part } = chosen;
  const shown = state.past ?? state.frame;
  const before = (k) => (layer === 1 ? state.data.names[k] : `unit ${k}`);
  const last = layer === state.shapes.length;
  const name = last ? `Output ${unit}` : `Layer ${layer}, unit ${unit}`;
  if (!state.panel) {
    state.panel = [];
    const close = make("button", { type: "button", className: "small" }, "Close");
    close.addEventListener("click", () => select(null));
    const title = layer === 0 ? (state.data.kind === "pictures" ? "The pixels" : `Input ${state.data.names[unit]}`) : part === "weight" ? `Weight from ${before(source)} to ${name.toLowerCase()}` : name;
    const head = make("div", { className: "selection-head" }, make("h3", {}, title));
    if (layer > 0 && part === "unit") {
      const open = make("button", { type: "button", className: "main small" }, "Open its equation");
      open.addEventListener("click", () => explain({ part: "unit", layer: layer - 1, unit }));
      head.append(open);
    }
    head.append(close);
    root.replaceChildren(head);
    if (layer > 0 && part === "weight") state.panel.push(slider("weight", layer - 1, source, unit));
    if (layer > 0 && part === "unit") {
      const [sources] = state.shapes[layer - 1];
      if (sources <= 20) for (let k = 0; k < sources; k++) state.panel.push(slider(`from ${before(k)}`, layer - 1, k, unit));
      state.panel.push(slider("bias", layer - 1, null, unit));
    }
    root.append(...state.panel.map(({ line }) => line));
    if (layer === 0) root.append(make("p", { className: "quiet" }, "An input has no equation: it comes from the data."));
  }
  for (const { layer: k, source: from, unit: to, range, value } of state.panel) {
    const { weight, bias } = shown.layers[k];
    const number = from === null ? bias[to] : weight[from * state.shapes[k][1] + to];
    if (document.activeElement !== range || !range.matches(":active")) range.value = number ?? 0;
    range.disabled = Boolean(state.past);
    value.textContent = short(number);
  }
}

// Pages: the explanation and the film

async function openPage(title, message) {
  say("Python writes the page…");
  const answer = await ask(message, true);
  if (!answer) return;
  say("");
  byId("page-title").textContent = title;
  byId("page").showModal();
  byId("frame").title = title;
  byId("frame").srcdoc = answer.html;
}

async function explain(chosen) {
  if (state.playing) await play(false);
  const moment = state.past ? state.past.moment : null;
  const update = whole(state.past ? state.past.update : state.frame.steps);
  const title = `The step after update ${update}, with numbers of row ${state.row}`;
  await openPage(title, { do: "explain", row: state.row, moment, ...chosen });
}

// The diagnosis

function lookSoon(wait) {
  clearTimeout(state.doctor);
  state.doctor = setTimeout(diagnose, wait);
}

async function diagnose() {
  if (state.diagnosing || state.gone) return;
  state.diagnosing = true;
  const answer = await ask({ do: "diagnose" }, true);
  state.diagnosing = false;
  if (answer) showFindings(answer);
  if (state.playing) lookSoon(12000);
}

function showFindings({ findings }) {
  const known = JSON.stringify(findings.map(({ kind, title, action }) => [kind, title, action]));
  if (known === state.found) return;
  state.found = known;
  if (!findings.length) {
    byId("findings").replaceChildren(make("p", { className: "quiet" }, "Nothing keeps this network from learning."));
    return;
  }
  byId("findings").replaceChildren(...findings.map((finding) => {
    const more = make("details", {}, make("summary", {}, "Why"), make("p", {}, finding.why), make("p", {}, finding.remedy));
    const card = make("article", { className: `finding ${finding.severity}` }, make("h3", {}, finding.title), more);
    if (finding.action) {
      const button = make("button", { type: "button", className: "main small" }, finding.action);
      button.addEventListener("click", () => {
        state.found = "";
        byId("findings").replaceChildren(make("p", { className: "quiet" }, "Changed. It looks again."));
        change(finding.settings);
      });
      card.insertBefore(button, more);
    }
    return card;
  }));
}

// Own data: points that are drawn, or a table

function showDrawing() {
  const brush = state.brush ?? 0;
  const kinds = [0, 1, 2].map((k) => {
    const dot = make("span", { className: "dot" });
    dot.style.background = classColor(k);
    const button = make("button", { type: "button", className: "small", ariaPressed: String(k === brush) }, dot, `class ${k}`);
    button.addEventListener("click", () => { state.brush = k; showDrawing(); });
    return button;
  });
  const clear = make("button", { type: "button", className: "small" }, "Clear");
  clear.addEventListener("click", () => { state.drawn = []; say("Click into the plane to draw points: four at least."); soon(); });
  const paste = make("button", { type: "button", className: "small" }, "Paste a table");
  paste.addEventListener("click", () => byId("paste").showModal());
  byId("drawing").replaceChildren(make("span", {}, "Draw:"), ...kinds, clear, paste);
  byId("drawing").hidden = false;
}

function addPoint({ x, y }) {
  state.drawn.push([Number(x.toFixed(3)), Number(y.toFixed(3)), state.brush ?? 0]);
  const classes = new Set(state.drawn.map(([, , k]) => k));
  const whole = [...classes].every((k) => k < 2 || classes.size > 2);
  if (state.drawn.length < 4 || classes.size < 2 || !whole) {
    const missing = Math.max(0, 4 - state.drawn.length);
    say(missing ? `${missing} more points to draw.` : "Draw a point of another class, too.");
    return;
  }
  change({ data: "own", points: state.drawn });
}

function chooseProblem(name) {
  state.drawing = name === "own";
  if (name !== "own") {
    byId("drawing").hidden = true;
    change({ data: name });
    return;
  }
  const { data, settings } = state;
  const two = data.kind === "map" && data.targets !== "regression";
  state.drawn = settings.data === "own" && two ? settings.points.map((row) => [...row]) : [];
  if (!state.drawn.length && two) {
    state.drawn = ["train", "test"].flatMap((part) => data[part].x.map((x, k) => [...x, data[part].y[k]])).slice(0, 40);
  } else if (!two) state.drawn = [[-0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 1], [0.5, -0.5, 1]];
  showDrawing();
  say("Click into the plane to add points, or paste a table.");
  change({ data: "own", points: state.drawn, noise: 0, scale: 1, standardize: false });
}

// Take it away

async function showCode(library = state.library) {
  state.library = library;
  for (const name of ["minigrad", "keras", "torch"]) {
    byId(`tab-${name}`).ariaSelected = String(name === library);
    byId(`tab-${name}`).tabIndex = name === library ? 0 : -1;
  }
  byId("code").setAttribute("aria-labelledby", `tab-${library}`);
  byId("code-about").textContent = library === "minigrad"
    ? "This program makes the run again, with the same losses to the last digit."
    : "The same data, network and optimizer. It draws other initial weights, so its losses differ.";
  const answer = await ask({ do: "code", library }, true);
  if (answer) byId("code").textContent = answer.text;
}

function download(name, blob) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    byId("away-status").textContent = `${what} is copied.`;
  } catch {
    byId("away-status").textContent = text; // without a clipboard the reader copies it
  }
}

async function copyLink() {
  const answer = await ask({ do: "link" });
  if (!answer) return;
  history.replaceState(null, "", `#${answer.text}`);
  await copy(location.href, "A link to this run");
}

async function saveModel() {
  const answer = await ask({ do: "save" });
  if (!answer) return;
  const content = Uint8Array.from(atob(answer.file), (letter) => letter.charCodeAt(0));
  download("model.safetensors", new Blob([content]));
  byId("away-status").textContent = 'model.safetensors is saved: minigrad.load("model.safetensors") reads it.';
}

function savePicture() {
  const parts = [network.canvas, byId("plane"), byId("losses")];
  const graph = byId("graph").getBoundingClientRect();
  const ratio = window.devicePixelRatio;
  const right = byId("plane").width;
  const picture = make("canvas", { width: graph.width * ratio + right + 60, height: Math.max(graph.height * ratio, byId("plane").height + byId("losses").height + 20) + 40 });
  const context = picture.getContext("2d");
  context.fillStyle = color.paper;
  context.fillRect(0, 0, picture.width, picture.height);
  context.drawImage(parts[0], 20, 20);
  for (const { canvas, left, y, right: end } of network.columns.flatMap(({ units }) => units)) {
    const side = (end - left) * ratio;
    context.drawImage(canvas, 20 + left * ratio, 20 + y * ratio - side / 2, side, side);
  }
  context.drawImage(parts[1], graph.width * ratio + 40, 20);
  context.drawImage(parts[2], graph.width * ratio + 40, byId("plane").height + 40);
  picture.toBlob((blob) => download("playground.png", blob));
}

// The start

function wire() {
  byId("play").addEventListener("click", () => play(!state.playing));
  byId("step").addEventListener("click", oneEpoch);
  byId("restart").addEventListener("click", () => restart());
  byId("moment").addEventListener("input", (event) => look(Number(event.target.value)));
  byId("learning_rate").addEventListener("input", (event) => {
    const rate = Number((10 ** Number(event.target.value)).toPrecision(2));
    showRate(rate);
    change({ learning_rate: rate });
  });
  for (const name of ["optimizer", "loss", "regularizer", "activation", "output", "initializer", ...Object.keys(NUMBERS)]) {
    byId(name).addEventListener("change", (event) => change({ [name]: asNumber(name, event.target.value) }));
  }
  for (const [name, written] of Object.entries(SLIDERS)) {
    byId(name).addEventListener("input", (event) => {
      byId(`${name}-value`).textContent = written(Number(event.target.value));
      change({ [name]: Number(event.target.value) });
    });
  }
  for (const name of CHECKS) byId(name).addEventListener("change", (event) => change({ [name]: event.target.checked }));
  for (const name of ["show-test", "discrete"]) byId(name).addEventListener("change", () => { state.version += 1; soon(); });
  byId("seed").addEventListener("change", (event) => change({ seed: Number(event.target.value) }));
  byId("more-layers").addEventListener("click", () => change({ hidden: [...state.settings.hidden, state.settings.hidden.at(-1) ?? 4] }));
  byId("fewer-layers").addEventListener("click", () => change({ hidden: state.settings.hidden.slice(0, -1) }));
  byId("row").addEventListener("input", (event) => {
    state.row = Math.max(0, Math.min(state.data.train.count - 1, Number(event.target.value) || 0));
    refresh();
  });
  byId("explain").addEventListener("click", () => explain({}));
  byId("diagnose").addEventListener("click", () => { state.found = ""; diagnose(); });
  byId("keep").addEventListener("click", () => {
    const { optimizer, learning_rate: rate } = state.settings;
    state.kept = [...state.kept, { name: `${optimizer} ${short(rate)}`, curve: state.frame.curve }].slice(-3);
    say("This curve stays as a gray line beside the next run.");
    soon();
  });
  byId("plane").addEventListener("click", (event) => {
    if (!["map", "curve"].includes(state.data.kind)) return;
    const place = placeOf(event, byId("plane"), state.data);
    if (state.drawing && state.data.kind === "map") addPoint(place);
    else { state.row = place.row; byId("row").value = place.row; refresh(); }
  });
  byId("take").addEventListener("click", async () => {
    if (state.playing) await play(false);
    byId("away-status").textContent = "";
    await showCode();
    byId("away").showModal();
  });
  for (const name of ["minigrad", "keras", "torch"]) byId(`tab-${name}`).addEventListener("click", () => showCode(name));
  document.querySelector(".tabs").addEventListener("keydown", (event) => {
    const names = ["minigrad", "keras", "torch"];
    const by = { ArrowRight: 1, ArrowLeft: 2 }[event.key];
    if (!by) return;
    const name = names[(names.indexOf(state.library) + by) % 3];
    showCode(name);
    byId(`tab-${name}`).focus();
  });
  byId("copy-code").addEventListener("click", () => copy(byId("code").textContent, "The code"));
  byId("copy-link").addEventListener("click", copyLink);
  byId("save-model").addEventListener("click", saveModel);
  byId("save-film").addEventListener("click", () => { byId("away").close(); openPage("The film of this run", { do: "film" }); });
  byId("save-picture").addEventListener("click", savePicture);
  byId("use-table").addEventListener("click", async () => {
    const answer = await ask({ do: "paste", text: byId("table").value });
    byId("paste-status").textContent = answer ? "" : byId("notice").textContent;
    if (!answer) return;
    byId("paste").close();
    say(`The table has ${answer.data.train.count + answer.data.test.count} rows.`);
    take(answer);
    lookSoon(600);
  });
  for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  byId("page").addEventListener("close", () => { byId("frame").srcdoc = ""; });
  document.addEventListener("keydown", key);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
  new ResizeObserver(soon).observe(byId("plane"));
}

async function refresh() {
  if (state.playing) return;
  if (state.past) {
    const { moment } = state.past;
    state.past = await ask({ do: "look", moment, row: state.row }) ?? state.past;
    soon();
  } else take(await ask({ do: "change", settings: {}, row: state.row }));
}

function recolor() {
  readColors();
  state.version += 1;
  for (const button of byId("problems").children) drawThumbnail(button.querySelector("canvas"), button.value);
  if (state.drawing) showDrawing();
  soon();
}

function key(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select, textarea, summary")) return;
  if (event.key === " " && !event.target.matches("button")) {
    event.preventDefault();
    play(!state.playing);
  }
  if (event.key === "s") oneEpoch();
  if (event.key === "r") restart();
  if (event.key === "Escape") select(null);
}

function showProblems() {
  const names = Object.keys(PROBLEMS);
  byId("problems").append(...names.map((name) => {
    const button = make("button", { type: "button", value: name, role: "radio" }, make("canvas", { ariaHidden: "true" }), make("span", {}, PROBLEMS[name]));
    button.addEventListener("click", () => chooseProblem(name));
    return button;
  }));
  byId("problems").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const buttons = [...byId("problems").children];
    const next = buttons[(buttons.indexOf(document.activeElement) + by + buttons.length) % buttons.length];
    next.focus();
    if (next.value !== "own") next.click();
  });
}

function showFeatures() {
  byId("feature-buttons").append(...state.choices.features.map((name) => {
    const button = make("button", { type: "button", className: "small", value: name }, name.replaceAll("pi", "π").replaceAll("*", " ").replaceAll("^2", "²"));
    button.addEventListener("click", () => {
      const { features } = state.settings;
      const changed = features.includes(name) ? features.filter((one) => one !== name) : [...features, name];
      if (changed.length) change({ features: changed });
      else say("A network needs an input.");
    });
    return button;
  }));
}

function showPresets(presets) {
  byId("presets").append(...Object.entries(presets).map(([name, { title, about, settings }]) => {
    const button = make("button", { type: "button", value: name, title: about }, title);
    button.addEventListener("click", async () => {
      state.about = about;
      state.drawing = false;
      await restart(settings);
      play(true);
    });
    return button;
  }));
}

// What the address asks for: a link or a preset, and perhaps that training waits for a press.
function address() {
  const parts = location.hash.slice(1).split("&").filter(Boolean);
  return { link: parts.find((part) => part !== "paused") ?? "", paused: parts.includes("paused") };
}

// On a site nothing is loaded before a reader asks for it.
async function pressed(paused) {
  const button = byId("play");
  say("Python runs in your browser. About 9 MB are loaded when you press the button.");
  Object.assign(button, { textContent: paused ? "Load" : "Load and start", disabled: false });
  await new Promise((done) => button.addEventListener("click", done, { once: true }));
  Object.assign(button, { textContent: "Train", disabled: true });
  byId("loading").hidden = false;
}

async function start() {
  const { link, paused } = address();
  try {
    if (inWorker()) await pressed(paused);
    python = await connect(({ stage, share }) => {
      say(`Loading ${stage}…`);
      byId("loading").value = share;
    });
  } catch (error) {
    return fail(error);
  } finally {
    byId("loading").hidden = true;
  }
  readColors();
  network = new Network(byId("graph"), {
    select, weight: setWeight, units: (layer, by) => change({ hidden: state.settings.hidden.map((n, k) => n + (k === layer ? by : 0)) }),
  });
  let answer = await ask({ do: "open", link });
  const wrong = answer ? "" : byId("notice").textContent;
  answer ??= await ask({ do: "open" });
  if (!answer) return undefined;
  state.choices = answer.choices;
  showProblems();
  showPresets(answer.presets);
  showFeatures();
  wire();
  byId("app").hidden = false;
  for (const name of ["play", "step", "restart"]) byId(name).disabled = false;
  take(answer);
  for (const button of byId("problems").children) drawThumbnail(button.querySelector("canvas"), button.value);
  state.replaying = answer.waiting > 0;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches && !inWorker(); // there a reader pressed
  if (answer.waiting || !(wrong || paused || still)) play(true);
  if (wrong) say(wrong, true);
  else if (answer.preset) say(answer.presets[answer.preset].about);
  else if (!answer.waiting) say(`${state.playing ? "Training" : "Press Train"}. Everything can be changed while it trains.`);
  lookSoon(1000);
  addEventListener("hashchange", () => location.reload());
  document.documentElement.dataset.ready = "true";
  return undefined;
}

start();
