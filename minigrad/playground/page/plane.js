// What the network computes of the data: a plane with its rows, a curve, pictures, or a table.

import { byId, bytes, classColor, cleared, color, css, fills, paint, ramp, short, ticks } from "./tools.js";

const small = document.createElement("canvas"); // the plane's pixels, before they are enlarged
const layer = document.createElement("canvas"); // the rows, which stay
let drawn = ""; // what the layer shows

export const CAPTIONS = {
  binary: "Blue is class 1, orange class 0. Hollow points are test rows.",
  classes: "The areas are the predicted classes. Hollow points are test rows.",
  regression: "The color is the prediction, of a point its target. Hollow points are test rows.",
  curve: "The line is the prediction. Hollow points are test rows.",
  pictures: "Some rows, with the answer of the network below; the wrong ones are framed.",
  table: "Across: the target. Up: the answer of the network.",
};

function boxOf(width, height, { ranges, kind, height: range }) {
  const box = { left: 30, top: 6, right: width - 6, bottom: height - 20 };
  const [across, up] = [ranges[0], kind === "map" ? ranges[1] : range];
  box.x = (value) => box.left + ((value - across[0]) / (across[1] - across[0])) * (box.right - box.left);
  box.y = (value) => box.bottom - ((value - up[0]) / (up[1] - up[0])) * (box.bottom - box.top);
  box.backX = (x) => across[0] + ((x - box.left) / (box.right - box.left)) * (across[1] - across[0]);
  box.backY = (y) => up[0] + ((box.bottom - y) / (box.bottom - box.top)) * (up[1] - up[0]);
  return Object.assign(box, { across, up });
}

function axes(context, box, height) {
  context.fillStyle = color.muted;
  context.textAlign = "center";
  for (const value of ticks(...box.across, 5)) context.fillText(short(value), box.x(value), height - 5);
  context.textAlign = "right";
  for (const value of ticks(...box.up, 5)) context.fillText(short(value), box.left - 4, box.y(value) + 4);
}

function targetColor(data, target) {
  if (data.targets !== "regression") return classColor(target);
  const [low, high] = data.height;
  return css(ramp[Math.max(0, Math.min(255, Math.round((255 * (target - low)) / (high - low))))]);
}

function drawRows(context, box, data, parts) {
  for (const part of parts) {
    data[part].x.forEach((inputs, i) => {
      const target = data[part].y[i];
      context.beginPath();
      context.arc(box.x(inputs[0]), box.y(data.kind === "map" ? inputs[1] : target), 3.6, 0, 2 * Math.PI);
      const ink = data.kind === "map" ? targetColor(data, target) : color.muted;
      context.fillStyle = part === "train" ? ink : color.paper;
      context.strokeStyle = part === "train" ? color[data.targets === "regression" && data.kind === "map" ? "muted" : "paper"] : ink;
      context.lineWidth = part === "train" ? 1 : 1.8;
      context.fill();
      context.stroke();
    });
  }
}

// Draw the rows once; a frame copies them.
function rowsLayer(context, canvas, box, data, version, parts) {
  const key = [version, canvas.width, canvas.height, color.paper].join();
  if (key !== drawn) {
    Object.assign(layer, { width: canvas.width, height: canvas.height });
    const own = layer.getContext("2d");
    own.scale(window.devicePixelRatio, window.devicePixelRatio);
    drawRows(own, box, data, parts);
    drawn = key;
  }
  context.drawImage(layer, 0, 0, canvas.clientWidth, canvas.clientHeight);
}

function border(context, box, values, size) {
  const [wide, tall] = [(box.right - box.left) / (size - 1), (box.bottom - box.top) / (size - 1)];
  const at = (row, column) => values[row * size + column] - 127.5;
  context.beginPath();
  for (let row = 0; row + 1 < size; row++) {
    for (let column = 0; column + 1 < size; column++) {
      const corners = [[0, 0], [1, 0], [1, 1], [0, 1]];
      const heights = corners.map(([a, b]) => at(row + b, column + a));
      const found = [];
      for (let k = 0; k < 4; k++) {
        const next = (k + 1) % 4;
        if (heights[k] < 0 === heights[next] < 0) continue;
        const share = heights[k] / (heights[k] - heights[next]);
        found.push([0, 1].map((axis) => corners[k][axis] + share * (corners[next][axis] - corners[k][axis])));
      }
      for (let k = 0; k + 1 < found.length; k += 2) {
        context.moveTo(box.left + (column + found[k][0]) * wide, box.top + (row + found[k][1]) * tall);
        context.lineTo(box.left + (column + found[k + 1][0]) * wide, box.top + (row + found[k + 1][1]) * tall);
      }
    }
  }
  context.strokeStyle = color.ink;
  context.lineWidth = 2;
  context.stroke();
}

function ring(context, x, y) {
  context.beginPath();
  context.arc(x, y, 7, 0, 2 * Math.PI);
  context.lineWidth = 2.5;
  context.strokeStyle = color.ink;
  context.stroke();
}

export function drawPlane(canvas, data, picture, row, version, { test, discrete }) {
  const [context, width, height] = cleared(canvas);
  if (data.kind === "pictures") return drawPictures(context, width, height, data, picture);
  if (data.kind === "table") return drawTable(context, width, height, data, picture);
  const box = boxOf(width, height, data);
  axes(context, box, height);
  context.save();
  context.beginPath();
  context.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  context.clip();
  if (data.kind === "map") {
    const values = bytes(picture.plane);
    const several = data.targets === "classes";
    const steps = discrete && !several;
    paint(small, steps ? values.map((value) => (value < 128 ? 20 : 235)) : values, 0, data.size, several ? fills : ramp);
    context.imageSmoothingEnabled = !several && !steps;
    context.drawImage(small, box.left, box.top, box.right - box.left, box.bottom - box.top);
    if (data.targets === "binary") border(context, box, values, data.size);
  }
  rowsLayer(context, canvas, box, data, version, test ? ["test", "train"] : ["train"]);
  if (data.kind === "curve") {
    context.beginPath();
    picture.plane.forEach((value, i) => {
      const at = box.across[0] + (i * (box.across[1] - box.across[0])) / (picture.plane.length - 1);
      if (value !== null) context.lineTo(box.x(at), Math.max(-9e3, Math.min(9e3, box.y(value))));
    });
    context.strokeStyle = color["series-0"];
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.stroke();
  }
  const chosen = data.train.x[row];
  if (chosen) ring(context, box.x(chosen[0]), box.y(data.kind === "map" ? chosen[1] : data.train.y[row]));
  context.restore();
}

function drawPictures(context, width, height, data, picture) {
  const part = data.test.x.length ? "test" : "train";
  const [across, down] = [8, 5];
  const [wide, tall] = [width / across, height / down];
  data[part].x.slice(0, across * down).forEach((pixels, k) => {
    const [left, top] = [(k % across) * wide, Math.floor(k / across) * tall];
    drawDigit(context, pixels, left + 4, top + 3, wide - 8, Math.min(wide - 8, tall - 20));
    const answer = picture.predicted[part][k];
    const right = answer === data[part].y[k];
    context.fillStyle = right ? color.muted : color["series-1"];
    context.font = `${right ? "" : "bold "}12px system-ui, sans-serif`;
    context.textAlign = "center";
    context.fillText(answer, left + wide / 2, top + tall - 6);
    if (right) return;
    context.strokeStyle = color["series-1"];
    context.lineWidth = 2;
    context.strokeRect(left + 2, top + 1, wide - 4, tall - 2);
  });
}

export function drawDigit(context, pixels, left, top, wide, tall) {
  const side = Math.min(wide, tall) / 8;
  const start = left + (wide - 8 * side) / 2;
  context.fillStyle = color.panel;
  context.fillRect(start, top, 8 * side, 8 * side);
  context.fillStyle = color.ink;
  pixels.forEach((value, k) => {
    context.globalAlpha = Math.max(0, Math.min(1, value));
    context.fillRect(start + (k % 8) * side, top + Math.floor(k / 8) * side, side + 0.3, side + 0.3);
  });
  context.globalAlpha = 1;
}

function drawTable(context, width, height, data, picture) {
  const [targets, answers] = ["train", "test"].map((part) => [data[part].y, picture.predicted[part]])
    .reduce(([t, a], [y, p]) => [[...t, ...y], [...a, ...p]], [[], []]);
  const finite = [...targets, ...answers].filter((value) => value !== null);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const room = (high - low) * 0.08 || 0.5;
  const range = [low - room, high + room];
  const box = boxOf(width, height, { ranges: [range], kind: "curve", height: range });
  axes(context, box, height);
  context.strokeStyle = color.edge;
  context.beginPath();
  context.moveTo(box.left, box.bottom);
  context.lineTo(box.right, box.top);
  context.stroke();
  context.fillStyle = color["series-0"];
  targets.forEach((target, k) => {
    if (answers[k] === null) return;
    context.beginPath();
    context.arc(box.x(target), box.y(answers[k]), 3.5, 0, 2 * Math.PI);
    context.fill();
  });
}

// The place of a pointer in the data, and the nearest row to train with.
export function placeOf(event, canvas, data) {
  const frame = canvas.getBoundingClientRect();
  const box = boxOf(frame.width, frame.height, data);
  const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
  let nearest = 0;
  let least = Infinity;
  data.train.x.forEach((inputs, k) => {
    const second = data.kind === "map" ? inputs[1] : data.train.y[k];
    const far = Math.hypot(box.x(inputs[0]) - x, box.y(second) - y);
    if (far < least) [nearest, least] = [k, far];
  });
  return { x: box.backX(x), y: box.backY(y), row: nearest };
}

// A thumbnail of a problem, for its button.
export function drawThumbnail(canvas, name) {
  const [context, width, height] = cleared(canvas);
  const dot = (x, y, k) => {
    context.fillStyle = classColor(k);
    context.beginPath();
    context.arc(width / 2 + (x * width) / 2.5, height / 2 - (y * height) / 2.5, 1.8, 0, 7);
    context.fill();
  };
  const each = (count, draw) => { for (let k = 0; k < count; k++) draw(k / (count - 1), k); };
  if (name === "moons") each(14, (t) => { dot(-0.4 + 0.7 * Math.cos(Math.PI * t), -0.15 + 0.9 * Math.sin(Math.PI * t), 0); dot(0.4 + 0.7 * Math.cos(Math.PI * t), 0.15 - 0.9 * Math.sin(Math.PI * t), 1); });
  if (name === "circles") each(18, (t) => { dot(Math.cos(7 * t), Math.sin(7 * t), 0); dot(0.4 * Math.cos(7 * t), 0.4 * Math.sin(7 * t), 1); });
  if (name === "xor") each(5, (s) => each(5, (t) => { const [x, y] = [2 * s - 1, 2 * t - 1]; if (x * y) dot(x, y, x * y > 0 ? 1 : 0); }));
  if (name === "gaussians") [[-0.5, 0], [0.5, 1]].forEach(([center, k]) => each(14, (t) => dot(center + 0.4 * t * Math.cos(31 * t), center + 0.4 * t * Math.sin(31 * t), k)));
  if (name === "spiral") each(16, (t) => [0, 1].forEach((k) => dot(t * Math.cos(8.5 * t + k * Math.PI), t * Math.sin(8.5 * t + k * Math.PI), k)));
  if (name === "blobs") [[0, 0.65, 0], [-0.6, -0.45, 1], [0.6, -0.45, 2]].forEach(([x, y, k]) => each(7, (t) => dot(x + 0.3 * Math.cos(7 * t), y + 0.3 * Math.sin(7 * t), k)));
  if (name === "wave") each(24, (t) => dot(2 * t - 1, 0.8 * Math.sin(7.5 * t - 3.75), 1));
  if (name === "total") each(6, (s) => each(6, (t) => { context.fillStyle = css(ramp[Math.round(255 * (s + t) / 2)]); context.fillRect(4 + s * (width - 16), height - 12 - t * (height - 16), 8, 8); }));
  if (name === "gaussian_sum") each(11, (s) => each(11, (t) => { context.fillStyle = css(ramp[Math.round(127.5 + 127 * Math.sin(3 * Math.PI * s) * Math.sin(Math.PI * (2 * t - 1)))]); context.fillRect(4 + s * (width - 12), height - 8 - t * (height - 12), 4, 4); }));
  if (name === "digits") {
    const rows = ["00111100", "01000110", "00000110", "00011100", "00000110", "01000110", "00111100", "00000000"];
    drawDigit(context, [...rows.join("")].map(Number), 4, 4, width - 8, height - 8);
  }
  if (name === "own") {
    context.strokeStyle = color.muted;
    context.lineWidth = 1.5;
    context.setLineDash([3, 3]);
    context.strokeRect(6, 6, width - 12, height - 12);
    context.setLineDash([]);
    dot(-0.4, 0.2, 0); dot(0.3, 0.4, 1); dot(0.1, -0.4, 1);
  }
}
