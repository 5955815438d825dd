"use strict";

// The pictures of a frame. Each takes a canvas context, its size, a film and a frame's index.

const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const NAMES = ["paper", "panel", "grid", "edge", "muted", "ink", "series-0", "series-1", "series-2"];
const color = {};
const ramp = new Uint32Array(256); // the colors of a map, from low to high
const CLASSES = ["series-1", "series-0", "series-2", "muted", "edge", "ink"];
const fills = new Uint32Array(CLASSES.length); // the colors of a map of classes

function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of NAMES) color[name] = style.getPropertyValue(`--${name}`).trim();
  const channels = (name) => color[name].match(/\w\w/g).map((pair) => parseInt(pair, 16));
  const [low, middle, high] = ["series-1", "paper", "series-0"].map(channels);
  const mixed = (end, part) => {
    const [r, g, b] = middle.map((value, c) => Math.round(value + part * (end[c] - value)));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  };
  for (let i = 0; i < 256; i++) {
    const share = (i - 127.5) / 127.5;
    ramp[i] = mixed(share < 0 ? low : high, 0.85 * Math.abs(share));
  }
  CLASSES.forEach((name, i) => { fills[i] = mixed(channels(name), 0.4); });
}

function short(value) {
  if (value === null) return "not finite";
  const size = Math.abs(value);
  const text = size && (size < 1e-4 || size >= 1e5) ? value.toExponential(1) : String(+value.toPrecision(3));
  return text.replaceAll("-", "\u2212").replace("e+", "e");
}

function write(context, text, x, y, { align = "center", ink = "muted", room = Infinity } = {}) {
  let shown = text; // the end of a path says more than its beginning
  while (shown.length > 2 && context.measureText(shown).width > room) shown = `…${shown.slice(2)}`;
  context.textAlign = align;
  context.fillStyle = color[ink];
  context.fillText(shown, x, y);
}

// The weights

function line(context, value, scale, widest) {
  const share = Math.min(1, Math.abs(value) / scale);
  context.lineWidth = 0.7 + widest * share;
  context.globalAlpha = 0.25 + 0.75 * share;
  context.strokeStyle = color[value < 0 ? "series-1" : "series-0"];
  context.setLineDash(value < 0 ? [6, 4] : []);
}

function drawUnits(context, width, height, { columns, parts, values, many }, frame) {
  const side = Math.min(60, width / (2 * columns.length));
  const place = (column, k) => {
    const { shown } = columns[column];
    const pitch = Math.min(64, (height - 58) / shown.length);
    const x = side + (column * (width - 2 * side)) / (columns.length - 1);
    return [x, 10 + (height - 58) / 2 + (k - (shown.length - 1) / 2) * pitch, Math.min(15, pitch * 0.36)];
  };
  let start = frame * many;
  const rings = columns.map(() => []);
  for (const { size, column, bias, scale } of parts) {
    const [rows, units] = size;
    for (let j = 0; j < units; j++) {
      if (bias) rings[column][j] = [values[start + j], scale];
      for (let i = 0; i < rows && !bias; i++) {
        const [x1, y1] = place(column - 1, i);
        const [x2, y2] = place(column, j);
        line(context, values[start + i * units + j], scale, 6);
        context.beginPath();
        context.moveTo(x1, y1);
        context.lineTo(x2, y2);
        context.stroke();
      }
    }
    start += rows * units;
  }
  context.globalAlpha = 1;
  columns.forEach(({ title, size, shown }, column) => {
    shown.forEach((_, k) => {
      const [x, y, radius] = place(column, k);
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.setLineDash([]);
      context.fillStyle = color.paper;
      context.fill();
      context.lineWidth = 1;
      context.strokeStyle = color.edge;
      context.stroke();
      if (rings[column][k]) {
        line(context, ...rings[column][k], 4);
        context.stroke();
      }
      context.globalAlpha = 1;
    });
    context.setLineDash([]);
    const [x] = place(column, 0);
    const room = (width - 2 * side) / (columns.length - 1) - 6;
    const [name, ...after] = title.split(", ");
    write(context, name, x, height - 30, { ink: "ink", room });
    const many = shown.length < size ? `${shown.length} of ${size} units` : `${size} unit${size > 1 ? "s" : ""}`;
    write(context, after.length ? after.join(", ") : many, x, height - 14, { room });
    if (after.length && shown.length < size) write(context, many, x, height - 1, { room });
  });
}

function drawTables(context, width, height, { parts, values, many }, frame) {
  const across = Math.max(1, Math.round(Math.sqrt((parts.length * width) / height)));
  const down = Math.ceil(parts.length / across);
  const [room, tall] = [width / across, height / down];
  let start = frame * many;
  parts.forEach(({ size: [rows, units], path, shape, scale }, place) => {
    const [left, top] = [(place % across) * room, Math.floor(place / across) * tall];
    write(context, `${path} ${shape.join(" × ")}`, left, top + 12, { align: "left", ink: "ink", room: room - 8 });
    const pitch = Math.min((room - 8) / units, (tall - 24) / rows, 22);
    for (let k = 0; k < rows * units; k++) {
      const value = values[start + k];
      const side = Math.max(1, (pitch - 2) * Math.sqrt(Math.min(1, Math.abs(value) / scale)));
      const x = left + ((k % units) + 0.5) * pitch - side / 2;
      const y = top + 18 + (Math.floor(k / units) + 0.5) * pitch - side / 2;
      context.fillStyle = color[value < 0 ? "series-1" : "series-0"];
      context.fillRect(x, y, side, side);
      if (value < 0 && side > 4) context.clearRect(x + 1.5, y + 1.5, side - 3, side - 3);
    }
    start += rows * units;
  });
}

// Axes

function steps(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) {
    found.push(Math.abs(value) < step / 1e6 ? 0 : value);
  }
  return found;
}

// The same for a logarithmic axis: powers of ten, and 2 and 5 times them where there is room.
function powers(low, high, most) {
  const found = [];
  const factors = 3 * (high - low) <= most ? [1, 2, 5] : [1];
  const step = Math.max(1, Math.ceil((high - low) / most));
  for (let power = Math.floor(low); power <= high; power += step) {
    for (const factor of factors) found.push(factor * 10 ** power);
  }
  return found.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
}

function frameOf(context, width, height, x, y) {
  const box = { left: 40, top: 8, right: width - 8, bottom: height - 22 };
  box.x = (value) => box.left + ((value - x[0]) / (x[1] - x[0])) * (box.right - box.left);
  box.y = (value) => box.bottom - ((value - y[0]) / (y[1] - y[0])) * (box.bottom - box.top);
  for (const value of steps(...x, width / 70)) write(context, short(value), box.x(value), height - 6);
  for (const value of steps(...y, height / 50)) {
    write(context, short(value), box.left - 6, box.y(value) + 4, { align: "right" });
  }
  return box;
}

function clipped(context, { left, top, right, bottom }, draw) {
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, bottom - top);
  context.clip();
  draw();
  context.restore();
}

// What the network computes

function drawCurve(context, width, height, { x, y, points, values, size, border }, frame) {
  const box = frameOf(context, width, height, x, y);
  context.strokeStyle = color.grid;
  context.lineWidth = 1;
  context.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  clipped(context, box, () => {
    context.fillStyle = color.muted;
    for (const [input, target] of points) {
      context.beginPath();
      context.arc(box.x(input), box.y(target), 3, 0, 2 * Math.PI);
      context.fill();
    }
    if (border !== null) {
      context.setLineDash([3, 3]);
      context.strokeStyle = color.edge;
      context.strokeRect(box.left - 9, box.y(border), width, height);
      context.setLineDash([]);
    }
    context.beginPath();
    for (let i = 0; i < size; i++) {
      const at = x[0] + (i * (x[1] - x[0])) / (size - 1);
      context.lineTo(box.x(at), Math.max(-9, Math.min(height + 9, box.y(values[frame * size + i]))));
    }
    context.strokeStyle = color["series-0"];
    context.lineWidth = 3;
    context.stroke();
  });
}

const MARKS = [
  (context, x, y) => context.arc(x, y, 4, 0, 2 * Math.PI),
  (context, x, y) => context.rect(x - 3.5, y - 3.5, 7, 7),
  (context, x, y) => [[0, -5], [4.5, 3.5], [-4.5, 3.5]].forEach(([a, b]) => context.lineTo(x + a, y + b)),
  (context, x, y) => [[0, -5], [5, 0], [0, 5], [-5, 0]].forEach(([a, b]) => context.lineTo(x + a, y + b)),
];

function drawMap(context, width, height, picture, frame) {
  const { x, y, points, size, values, values_from: range, classes, border } = picture;
  const several = classes > 2;
  const box = frameOf(context, width, height, x, y);
  picture.image ??= new ImageData(size, size);
  picture.canvas ??= Object.assign(document.createElement("canvas"), { width: size, height: size });
  const pixels = new Uint32Array(picture.image.data.buffer);
  const start = frame * size * size;
  for (let i = 0; i < size * size; i++) {
    pixels[i] = several ? fills[values[start + i] % fills.length] : ramp[values[start + i]];
  }
  picture.canvas.getContext("2d").putImageData(picture.image, 0, 0);
  context.imageSmoothingEnabled = !several;
  const [wide, tall] = [box.right - box.left, box.bottom - box.top];
  clipped(context, box, () => {
    const [dx, dy] = [wide / (size - 1) / 2, tall / (size - 1) / 2]; // pixels are centered on the grid
    context.drawImage(picture.canvas, box.left - dx, box.top - dy, wide + 2 * dx, tall + 2 * dy);
    if (border !== null) {
      const level = (255 * (border - range[0])) / (range[1] - range[0]);
      drawLevel(context, box, values.subarray(start, start + size * size), size, level);
    }
    for (const [a, b, target] of points) {
      context.beginPath();
      MARKS[classes ? target % MARKS.length : 0](context, box.x(a), box.y(b));
      context.closePath();
      const share = Math.round((255 * (target - range[0])) / (range[1] - range[0]));
      context.fillStyle = classes ? color[CLASSES[target % CLASSES.length]] : css(ramp[share]);
      context.strokeStyle = color[classes ? "paper" : "muted"];
      context.lineWidth = 1;
      context.fill();
      context.stroke();
    }
  });
}

function css(pixel) {
  return `rgb(${pixel & 255} ${(pixel >> 8) & 255} ${(pixel >> 16) & 255})`;
}

// The line where the values cross a level, by the sides of each cell that it crosses.
function drawLevel(context, box, values, size, level) {
  const [wide, tall] = [(box.right - box.left) / (size - 1), (box.bottom - box.top) / (size - 1)];
  context.beginPath();
  for (let row = 0; row < size - 1; row++) {
    for (let column = 0; column < size - 1; column++) {
      const corners = [[0, 0], [1, 0], [1, 1], [0, 1]];
      const heights = corners.map(([a, b]) => values[(row + b) * size + column + a] - level);
      const crossings = [];
      for (let k = 0; k < 4; k++) {
        const next = (k + 1) % 4;
        if (heights[k] < 0 === heights[next] < 0) continue;
        const share = heights[k] / (heights[k] - heights[next]);
        const at = [0, 1].map((axis) => corners[k][axis] + share * (corners[next][axis] - corners[k][axis]));
        crossings.push([box.left + (column + at[0]) * wide, box.top + (row + at[1]) * tall]);
      }
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        context.moveTo(...crossings[k]);
        context.lineTo(...crossings[k + 1]);
      }
    }
  }
  context.strokeStyle = color.ink;
  context.lineWidth = 2.5;
  context.stroke();
}

function drawHistograms(context, width, height, { layers, size, values }, frame) {
  const across = Math.ceil(layers.length / Math.max(1, Math.round((2 * height) / width) + 1));
  const down = Math.ceil(layers.length / across);
  const [room, tall] = [width / across, height / down];
  layers.forEach(({ title, range }, place) => {
    const [left, top] = [(place % across) * room, Math.floor(place / across) * tall];
    const [bottom, wide] = [top + tall - 20, (room - 16) / size];
    write(context, title, left + room / 2, top + 12, { ink: "ink", room: room - 16 });
    context.fillStyle = color["series-0"];
    const start = (frame * layers.length + place) * size;
    for (let k = 0; k < size; k++) {
      const high = (values[start + k] / 255) * (tall - 42);
      context.fillRect(left + 8 + k * wide, bottom - high, Math.max(1, wide - 1), high);
    }
    context.fillStyle = color.edge;
    context.fillRect(left + 8, bottom, room - 16, 1);
    write(context, short(range[0]), left + 8, bottom + 14, { align: "left" });
    write(context, short(range[1]), left + room - 8, bottom + 14, { align: "right" });
  });
}

// The loss

const lossBox = (width, height) => ({ left: 48, top: 10, right: width - 10, bottom: height - 22 });

// The place on the timeline, from 0 to 1, at a point of the loss's canvas.
function shareAt(x, width) {
  const { left, right } = lossBox(width, 0);
  return Math.min(Math.max((x - left) / (right - left), 0), 1);
}

function drawLoss(context, width, height, film, frame, { timeline, range, log }) {
  const scale = log ? Math.log10 : (value) => value;
  const ends = range.map(scale);
  const box = lossBox(width, height);
  const x = (k) => box.left + (k / (timeline.length - 1)) * (box.right - box.left);
  const y = (value) => box.bottom - ((scale(value) - ends[0]) / (ends[1] - ends[0])) * (box.bottom - box.top);
  for (const value of log ? powers(...ends, height / 24) : steps(...range, height / 45)) {
    context.fillStyle = color.grid;
    context.fillRect(box.left, y(value), box.right - box.left, 1);
    write(context, short(value), box.left - 6, y(value) + 4, { align: "right" });
  }
  let free = box.left - 30;
  const last = timeline.length - 1;
  for (const update of [timeline[0], 1, 10, 100, 1e3, 1e4, 1e5, 1e6, timeline[last]]) {
    const k = timeline.findIndex((one) => one >= update);
    const crowded = k < last && x(k) > box.right - 50;
    if (k < 0 || x(k) < free || crowded) continue;
    write(context, update.toLocaleString("en"), x(k), height - 6, { align: k === last ? "right" : "center" });
    free = x(k) + 44;
  }
  clipped(context, { ...box, top: 0 }, () => {
    context.setLineDash([6, 3]);
    context.lineWidth = 1.5;
    context.strokeStyle = color["series-2"];
    for (const [label, value] of film.lines) {
      context.beginPath();
      context.moveTo(box.left, y(value));
      context.lineTo(box.right, y(value));
      context.stroke();
      const below = y(value) + 16 < box.bottom;
      write(context, label, box.right - 4, y(value) + (below ? 14 : -5), { align: "right", ink: "series-2" });
    }
    context.setLineDash([]);
    context.strokeStyle = color["series-0"];
    for (const [until, alpha] of [[film.updates.length - 1, 0.35], [frame, 1]]) {
      context.globalAlpha = alpha;
      context.lineWidth = alpha < 1 ? 1.5 : 2.5;
      context.beginPath();
      for (let i = 0; i <= until; i++) {
        const loss = film.losses[i];
        if (loss !== null) context.lineTo(x(film.places[i]), Math.max(-9, y(loss)));
      }
      context.stroke();
    }
  });
  if (film.losses[frame] === null) return;
  context.beginPath();
  context.arc(x(film.places[frame]), Math.max(box.top, y(film.losses[frame])), 6, 0, 2 * Math.PI);
  context.fillStyle = color["series-0"];
  context.fill();
  context.strokeStyle = color.panel;
  context.lineWidth = 2;
  context.stroke();
}
