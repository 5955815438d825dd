// The page: its films, the moment that they show, and the player.

const DATA = JSON.parse(document.getElementById("data").textContent);
const RATE = 30; // frames a second
const DRAW = { curve: drawCurve, map: drawMap, histograms: drawHistograms };
const SQUARES = "Filled squares are positive, hollow ones negative; the side grows with the root of the size.";
const still = matchMedia("(prefers-reduced-motion: reduce)");
const state = { at: 0, playing: false, then: 0, said: 0 };
const films = DATA.films;
const timeline = [...new Set(films.flatMap((film) => film.updates))].sort((a, b) => a - b);
const axis = { timeline };

const byId = (id) => document.getElementById(id);

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

// The moment

function shownFrame(film) {
  return film.frameAt[Math.floor(state.at)];
}

function told(film) {
  const frame = shownFrame(film);
  const parts = [`loss ${short(film.losses[frame])}`];
  if (film.accuracies.length) parts.push(`accuracy ${film.accuracies[frame].toFixed(2)}`);
  const last = film.updates.at(-1).toLocaleString("en");
  const update = film.updates[frame].toLocaleString("en");
  const epoch = film.epochs.at(-1) === film.updates.at(-1) ? "" : `, epoch ${film.epochs[frame].toLocaleString("en")}`;
  return `Update ${update} of ${last}${epoch}: ${parts.join(", ")}.`;
}

function draw() {
  for (const film of films) {
    const frame = shownFrame(film);
    for (const { canvas, paint } of film.pictures) {
      const context = canvas.getContext("2d");
      const ratio = window.devicePixelRatio;
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      const [width, height] = [canvas.width / ratio, canvas.height / ratio];
      context.clearRect(0, 0, width, height);
      context.font = FONT;
      paint(context, width, height, frame);
    }
    const over = film.ended && frame === film.updates.length - 1;
    film.moment.replaceChildren(told(film), ...(over ? [" ", make("b", {}, "Training diverged here.")] : []));
  }
}

function say() {
  const text = films.map((film) => (films[1] ? `${film.title}: ` : "") + told(film)).join(" ");
  byId("status").textContent = text;
  for (const film of films) film.pictures.forEach(({ canvas, name }) => {
    canvas.ariaLabel = `${name} ${told(film)}`;
  });
  state.said = performance.now();
}

function show(at) {
  const before = Math.floor(state.at);
  state.at = Math.min(Math.max(at, 0), timeline.length - 1);
  const now = Math.floor(state.at);
  if (now !== before || !state.drawn) draw();
  state.drawn = true;
  const update = timeline[now].toLocaleString("en");
  const text = `Update ${update} of ${timeline.at(-1).toLocaleString("en")}`;
  byId("now").textContent = text;
  byId("slider").value = now;
  byId("slider").ariaValueText = `${text}, ${films.map((film) => `loss ${short(film.losses[shownFrame(film)])}`).join(" and ")}`;
  clearTimeout(state.waiting);
  if (!state.playing) state.waiting = setTimeout(say, 400);
  else if (performance.now() - state.said > 5000) say();
}

// The player

function play(playing) {
  if (playing && Math.floor(state.at) === timeline.length - 1) show(0);
  state.playing = playing;
  state.then = performance.now();
  byId("play").textContent = playing ? "Pause" : "Play";
  if (playing) requestAnimationFrame(tick);
  else show(state.at);
}

function tick(now) {
  if (!state.playing) return;
  const passed = Math.max(0, Math.min(now - state.then, 250)) / 1000;
  state.then = now;
  show(state.at + passed * RATE * Number(byId("speed").value));
  if (state.at < timeline.length - 1) requestAnimationFrame(tick);
  else play(false);
}

function go(at) {
  if (state.playing) play(false);
  show(at);
}

function key(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || byId("dialog").open) return;
  const now = Math.floor(state.at);
  const places = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: timeline.length - 1 };
  const onButton = event.target.matches("button, select");
  if (event.key === " " && !onButton) play(!state.playing);
  else if (event.key in places && !event.target.matches("select, #slider")) go(places[event.key]);
  else return;
  event.preventDefault();
}

// The update that the address names, as in film.html#120.
function goToHash() {
  const wanted = Number(location.hash.slice(1));
  if (wanted) go(timeline.findLastIndex((update) => update <= wanted));
  return wanted;
}

// The explanation of a moment

// A number as Python writes it.
function sixDigits(value) {
  if (value && Math.abs(value) < 1e-4) return value.toExponential().replace(/-(\d)$/u, "-0$1");
  return String(value);
}

// What moments.py folds: each column of numbers is the sums of its changes from page to page.
async function unfolded(film) {
  const made = JSON.parse(new TextDecoder().decode(await inflated(film.pages)));
  const bytes = new Uint8Array(await inflated(film.numbers));
  const many = bytes.length / 4;
  let next = 0;
  const change = () => {
    const folded = [3, 2, 1, 0].reduce((sum, plane) => 256 * sum + bytes[plane * many + next], 0);
    next += 1;
    return folded % 2 ? -(folded + 1) / 2 : folded / 2;
  };
  made.templates.forEach(([, columns], template) => {
    const pages = made.frames.filter(([one]) => one === template).length;
    columns.forEach((decimals, column) => {
      if (Array.isArray(decimals)) return;
      let sum = 0;
      columns[column] = Array.from({ length: pages }, () => sixDigits((sum += change()) / 10 ** decimals));
    });
  });
  return made;
}

async function explain(film) {
  if (state.playing) play(false);
  const frame = shownFrame(film);
  const far = (one) => Math.abs(film.updates[one] - film.updates[frame]);
  const nearest = film.moments.reduce((best, one) => (far(one) < far(best) ? one : best));
  film.explanations ??= await unfolded(film);
  const { shell, templates, frames } = film.explanations;
  const [template, page] = frames[film.moments.indexOf(nearest)];
  const [pieces, columns] = templates[template];
  const body = pieces.map((piece) => (typeof piece === "number" ? columns[piece][page] : piece));
  const lines = body.join("").split("\n");
  byId("explanation").srcdoc = shell.map((line) => line ?? lines.shift()).join("\n");
  const update = film.updates[nearest].toLocaleString("en");
  const nearby = nearest === frame ? "" : ", the nearest that is explained";
  byId("dialog-title").textContent = `${films[1] ? `${film.title}, ` : ""}update ${update}${nearby}: row ${DATA.row}`;
  byId("explanation").title = byId("dialog-title").textContent;
  byId("dialog").showModal();
}

// The start

function figure(film, name, kind, caption, paint) {
  const canvas = make("canvas");
  canvas.role = "img";
  film.pictures.push({ canvas, paint, name: `${name}.` });
  const under = make("figcaption", {}, ...caption);
  return make("figure", { className: kind }, canvas, under);
}

function lineKeys(weights) {
  const [positive, negative] = ["key", "key negative"].map((className) => make("span", { className }));
  const widest = `the widest line is ±${short(weights.parts[0].scale)}; rings are biases`;
  return [positive, "positive ", negative, `negative; ${widest}`];
}

function captionOf({ kind, classes, values_from: range }) {
  if (kind === "curve") return "The points are rows, the line is the prediction.";
  if (kind === "histograms") return "What each layer returns for some rows; each is drawn to its highest bar.";
  if (classes) return "The marks are rows, the areas the predicted classes.";
  const [low, high] = range.map(short);
  return `The prediction from ${low} (orange) to ${high} (blue); a mark has the color of its row's target.`;
}

function section(film) {
  film.pictures = [];
  film.moment = make("p", { className: "moment" });
  const { weights, picture } = film;
  const open = make("button", { type: "button", onclick: () => explain(film) }, "Explain this update");
  const text = make("div", {}, make("p", { className: "summary" }, film.summary), film.moment);
  if (films.length > 1) text.prepend(make("h2", {}, film.title));
  const head = make("header", {}, text, open);
  const units = weights.columns.length > 0;
  const drawWeights = units ? drawUnits : drawTables;
  const network = figure(film, "The network's weights", "network", units ? lineKeys(weights) : [SQUARES],
    (context, width, height, frame) => drawWeights(context, width, height, weights, frame));
  const computed = figure(film, "What the network computes", "computed", [captionOf(picture)],
    (context, width, height, frame) => DRAW[picture.kind](context, width, height, picture, frame));
  const loss = figure(film, "The loss", "loss", [`The loss over ${film.rows} rows, by the number of updates; a click goes to that update.`],
    (context, width, height, frame) => drawLoss(context, width, height, film, frame, axis));
  loss.querySelector("canvas").addEventListener("click", ({ offsetX, target }) => {
    go(Math.round(shareAt(offsetX, target.clientWidth) * (timeline.length - 1)));
  });
  const made = make("section", { className: "film", ariaLabel: film.title }, head, network, computed, loss);
  made.querySelectorAll("canvas").forEach((canvas) => resized.observe(canvas));
  return made;
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    target.width = Math.round(target.clientWidth * window.devicePixelRatio);
    target.height = Math.round(target.clientHeight * window.devicePixelRatio);
  }
  draw();
});

// One range of losses for all films; what lies far above where they start is cut off.
function lossAxis() {
  const all = films.flatMap((film) => [...film.losses, ...film.lines.map(([, value]) => value)]);
  const finite = all.filter((value) => value !== null);
  const top = 20 * Math.max(...films.map((film) => film.losses[0] ?? 0)) || Infinity;
  const [low, high] = [Math.min(...finite), Math.min(Math.max(...finite), top)];
  axis.log = low > 0 && high > 20 * low;
  axis.range = axis.log ? [low / 1.2, high * 1.2] : [Math.min(0, low), high * 1.05 || 1];
}

async function start() {
  for (const film of films) {
    const { weights, picture } = film;
    film.places = film.updates.map((update) => timeline.indexOf(update));
    film.frameAt = timeline.map((update) => film.updates.findLastIndex((one) => one <= update));
    film.frameAt = film.frameAt.map((frame) => Math.max(0, frame));
    weights.values = new Float32Array(await inflated(weights.values));
    weights.many = weights.values.length / film.updates.length;
    const bytes = await inflated(picture.values);
    picture.values = picture.kind === "curve" ? new Float32Array(bytes) : new Uint8Array(bytes);
  }
  lossAxis();
  readColors();
  byId("films").classList.toggle("several", films.length > 1);
  byId("films").append(...films.map(section));
  byId("slider").max = timeline.length - 1;
  byId("slider").addEventListener("input", (event) => go(Number(event.target.value)));
  byId("play").addEventListener("click", () => play(!state.playing));
  byId("close").addEventListener("click", () => byId("dialog").close());
  document.addEventListener("keydown", key);
  const recolor = () => {
    readColors();
    draw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
  addEventListener("theme", recolor); // of the page around this one
  byId("app").hidden = false;
  show(0);
  addEventListener("hashchange", goToHash);
  if (goToHash() || still.matches) return;
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    if (!state.at) play(true);
  }).observe(byId("films"));
}

start();
