// The network: a column of units for each layer, a map in every unit, and the weights as lines.

import { bytes, cleared, color, css, make, paint, ramp, short } from "./tools.js";
import { drawDigit } from "./plane.js";

const [HEAD, NEAR, MAP, MOST] = [30, 7, 30, 16]; // pixels, but for the side of a map and the inputs

export class Network {
  // `on` has what happens: select(selection), weight(layer, source, unit, value), units(layer, by).
  constructor(root, on) {
    this.root = root;
    this.on = on;
    this.canvas = make("canvas", { ariaHidden: "true" });
    this.tip = make("div", { className: "tip", hidden: true, ariaHidden: "true" });
    this.columns = [];
    this.selection = null;
    this.near = null;
    root.addEventListener("pointermove", (event) => this.move(event));
    root.addEventListener("pointerleave", () => this.hover(null));
    root.addEventListener("pointerdown", (event) => this.press(event));
    root.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => {
      if (this.data && root.clientWidth !== this.width) this.layout();
    }).observe(root);
  }

  // Make the units for a problem and the shapes of the weights.
  build(data, settings, shapes) {
    Object.assign(this, { data, settings, shapes, picture: null });
    this.scale = 1;
    this.inputMaps = data.maps ? bytes(data.maps) : null;
    const picture = data.kind === "pictures";
    const inputs = picture ? 1 : Math.min(MOST, data.inputs);
    this.columns = [inputs, ...shapes.map(([, units]) => units)].map((count, layer) => {
      const units = Array.from({ length: count }, (_, unit) => this.unit(layer, unit, shapes.length));
      return { units, layer };
    });
    this.columns[0].rest = picture ? 0 : data.inputs - inputs;
    this.root.replaceChildren(this.canvas, this.tip);
    this.columns.forEach((column, layer) => {
      column.head = this.heading(layer, column, shapes.length);
      this.root.append(column.head, ...column.units.map(({ button }) => button));
    });
    this.columns[0].units[0].button.tabIndex = 0;
    this.layout();
  }

  heading(layer, column, last) {
    const head = make("div", { className: "column" });
    if (layer === 0) head.append(this.data.kind === "pictures" ? "64 pixels" : "Inputs");
    else if (layer === last) head.append("Output");
    else {
      const count = column.units.length;
      const change = (sign, by, disabled) => {
        const label = `${by > 0 ? "Add a unit to" : "Remove a unit from"} layer ${layer}`;
        const button = make("button", { type: "button", ariaLabel: label, disabled }, sign);
        button.addEventListener("click", () => this.on.units(layer - 1, by));
        return button;
      };
      const name = make("span", {}, String(count), make("span", { className: "word" }, count > 1 ? " units" : " unit"));
      head.append(change("−", -1, count === 1), name, change("+", 1, count >= MOST));
    }
    return head;
  }

  unit(layer, unit, last) {
    const canvas = make("canvas", { width: MAP, height: MAP });
    const value = make("span", { className: "value" });
    const button = make("button", { type: "button", className: "unit", tabIndex: -1 }, canvas, value);
    button.addEventListener("click", () => this.on.select({ part: "unit", layer, unit }));
    button.addEventListener("focus", () => {
      for (const column of this.columns) for (const one of column.units) one.button.tabIndex = one.button === button ? 0 : -1;
    });
    return { layer, unit, button, canvas, value, isOutput: layer === last };
  }

  // Place the units, and remember where lines start and end.
  layout() {
    const [many, most] = [this.columns.length, Math.max(...this.columns.map(({ units }) => units.length))];
    this.width = this.root.clientWidth;
    const pitch = this.width / many;
    const narrow = this.width < 600;
    const height = Math.max(narrow ? 240 : 330, Math.min(narrow ? 400 : 560, most * (narrow ? 40 : 54)));
    const side = Math.max(16, Math.min(narrow ? 34 : 46, height / most - 6, pitch * 0.55));
    this.root.style.height = `${height + HEAD + 8}px`;
    this.root.classList.toggle("narrow", pitch < 104);
    this.columns.forEach((column, layer) => {
      const x = pitch * (layer + 0.5);
      Object.assign(column.head.style, { left: `${x - pitch / 2}px`, width: `${pitch}px` });
      const count = column.units.length;
      const step = Math.min(height / count, 1.6 * side + 14);
      column.units.forEach((unit, k) => {
        const large = this.data.kind === "pictures" && layer === 0;
        const own = large ? Math.min(120, pitch * 0.85) : side;
        const y = HEAD + height / 2 + (k - (count - 1) / 2) * step;
        Object.assign(unit, { x, y, left: x - own / 2, right: x + own / 2 });
        Object.assign(unit.button.style, {
          left: `${x - own / 2}px`, top: `${y - own / 2}px`, width: `${own}px`, height: `${own}px`,
        });
      });
    });
    if (this.picture) this.draw(this.picture, this.row);
  }

  // The weight of a line, or null where the lines aren't drawn one by one.
  lines() {
    const { layers } = this.picture;
    const found = [];
    layers.forEach(({ weight }, k) => {
      const [sources, units] = this.shapes[k];
      const [from, to] = [this.columns[k].units, this.columns[k + 1].units];
      const single = from.length === sources || k > 0 || this.data.kind !== "pictures";
      for (let j = 0; j < units; j++) {
        for (let i = 0; i < from.length; i++) {
          found.push({ layer: k, source: i, unit: j, from: from[i], to: to[j], value: single ? weight[i * units + j] : null });
        }
      }
    });
    return found;
  }

  draw(picture, row) {
    Object.assign(this, { picture, row });
    const lines = this.lines();
    const sizes = lines.map(({ value }) => Math.abs(value ?? 0)).sort((a, b) => a - b);
    const typical = Math.max(0.2, sizes[Math.floor(0.95 * (sizes.length - 1))]);
    this.scale += 0.2 * (typical - this.scale); // the widths follow slowly
    const [context] = cleared(this.canvas);
    for (const line of lines) this.drawLine(context, line);
    for (const line of lines) if (this.isMarked(line)) this.drawLine(context, line, true);
    this.drawBiases(context);
    this.fill();
  }

  isMarked({ layer, source, unit }) {
    const same = (one) => one && one.part === "weight" && one.layer === layer + 1 && one.source === source && one.unit === unit;
    return same(this.selection) || same(this.near);
  }

  drawLine(context, { from, to, value }, marked = false) {
    const middle = (from.right + to.left) / 2;
    const share = Math.min(1, Math.abs(value ?? 0) / this.scale);
    context.beginPath();
    context.moveTo(from.right, from.y);
    context.bezierCurveTo(middle, from.y, middle, to.y, to.left, to.y);
    context.lineWidth = value === null ? 1 : 0.6 + 5 * share + (marked ? 2 : 0);
    context.globalAlpha = marked ? 1 : value === null ? 0.4 : 0.2 + 0.7 * share;
    context.setLineDash(value < 0 ? [6, 4] : []);
    context.strokeStyle = marked ? color.ink : value === null ? color.edge : color[value < 0 ? "series-1" : "series-0"];
    context.stroke();
    context.globalAlpha = 1;
  }

  // A bias is a mark at the foot of its unit: wide as the bias is large.
  drawBiases(context) {
    context.setLineDash([]);
    this.picture.layers.forEach(({ bias }, k) => {
      this.columns[k + 1].units.forEach((unit, j) => {
        const share = Math.min(1, Math.abs(bias[j] ?? 0) / this.scale);
        context.fillStyle = color[bias[j] < 0 ? "series-1" : "series-0"];
        const wide = share * (unit.right - unit.left) * 0.5;
        const foot = unit.y + (unit.right - unit.left) / 2;
        context.fillRect(bias[j] < 0 ? unit.x - wide : unit.x, foot + 2, wide, 3);
      });
    });
  }

  fill() {
    const { picture, data } = this;
    const maps = picture.units ? bytes(picture.units) : null;
    let start = 0;
    for (const column of this.columns) {
      for (const unit of column.units) {
        const { layer, canvas, value, button } = unit;
        const number = layer ? picture.values[layer - 1][unit.unit] : picture.inputs[unit.unit];
        const hidden = layer > 0 && !unit.isOutput;
        if (layer === 0) this.fillInput(unit);
        else if (maps && hidden) {
          if (data.kind === "map") paint(canvas, maps, start, MAP);
          else this.fillCurve(canvas, maps.subarray(start, start + 120));
          start += data.kind === "map" ? MAP * MAP : 120;
        } else if (data.kind === "map") this.fillOutput(unit);
        else if (data.kind === "curve") this.fillLine(canvas, picture.plane, data.height);
        else if (data.kind === "pictures" && layer === 1) this.fillWeights(unit);
        else this.fillValue(canvas, number, picture.values[layer - 1]);
        value.textContent = number === undefined || (layer === 0 && data.kind === "pictures") ? "" : short(number);
        button.ariaLabel = `${this.nameOf(unit)}, ${short(number)} for row ${this.row}`;
        const chosen = this.selection;
        button.ariaPressed = String(chosen?.part === "unit" && chosen.layer === layer && chosen.unit === unit.unit);
      }
    }
  }

  nameOf({ layer, unit, isOutput }) {
    if (layer === 0) return this.data.kind === "pictures" ? "The pixels" : `Input ${this.data.names[unit]}`;
    return isOutput ? `Output ${unit}` : `Layer ${layer}, unit ${unit}`;
  }

  fillInput({ canvas, unit }) {
    const { data } = this;
    if (data.kind === "pictures") {
      canvas.width = canvas.height = 96;
      return drawDigit(canvas.getContext("2d"), this.picture.inputs, 0, 0, 96, 96);
    }
    if (this.inputMaps) return paint(canvas, this.inputMaps, unit * MAP * MAP, MAP);
    const values = new Uint8Array(MAP * MAP);
    const [low, high] = data.ranges[unit];
    const largest = Math.max(Math.abs(low), Math.abs(high)) || 1;
    for (let k = 0; k < values.length; k++) {
      values[k] = 128 + (127 * (low + ((k % MAP) / (MAP - 1)) * (high - low))) / largest;
    }
    return paint(canvas, values, 0, MAP);
  }

  fillOutput({ canvas, unit }) {
    const values = bytes(this.picture.plane);
    const side = this.data.size;
    if (this.data.targets !== "classes") return paint(canvas, values, 0, side);
    const own = values.map((k) => (k === unit ? 215 : 128));
    paint(canvas, own, 0, side);
  }

  fillCurve(canvas, values) {
    this.strokeCurve(canvas, Array.from(values, (value) => (value - 128) / 127));
  }

  fillLine(canvas, values, [low, high]) {
    this.strokeCurve(canvas, values.map((value) => (2 * ((value ?? 0) - low)) / (high - low || 1) - 1));
  }

  strokeCurve(canvas, values) {
    canvas.width = canvas.height = 60;
    const context = canvas.getContext("2d");
    context.fillStyle = color.panel;
    context.fillRect(0, 0, 60, 60);
    context.fillStyle = color.edge;
    context.fillRect(0, 29.5, 60, 1);
    context.strokeStyle = color["series-0"];
    context.lineWidth = 3;
    context.beginPath();
    values.forEach((value, i) => context.lineTo((60 * i) / (values.length - 1), 30 - 26 * Math.max(-1.2, Math.min(1.2, value))));
    context.stroke();
  }

  fillWeights({ canvas, unit }) {
    const { weight } = this.picture.layers[0];
    const units = this.shapes[0][1];
    const own = Array.from({ length: 64 }, (_, i) => weight[i * units + unit] ?? 0);
    const largest = Math.max(...own.map(Math.abs)) || 1;
    paint(canvas, own.map((value) => Math.round(128 + (127 * value) / largest)), 0, 8);
    canvas.classList.add("pixels");
  }

  fillValue(canvas, number, all) {
    const largest = Math.max(...all.map((value) => Math.abs(value ?? 0))) || 1;
    canvas.width = canvas.height = 20;
    const context = canvas.getContext("2d");
    context.fillStyle = css(ramp[Math.round(128 + (127 * (number ?? 0)) / largest)]);
    context.fillRect(0, 0, 20, 20);
  }

  // Pointers: a line is selected by a press, and its weight follows a drag up and down.

  lineAt(event) {
    if (event.target.closest("button") || !this.picture) return null;
    const frame = this.root.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    let found = null;
    let least = NEAR;
    for (const line of this.lines()) {
      const { from, to, value } = line;
      if (value === null || x < from.right || x > to.left) continue;
      const far = Math.abs(heightAt(from, to, x) - y);
      if (far < least) [found, least] = [line, far];
    }
    return found && { part: "weight", layer: found.layer + 1, source: found.source, unit: found.unit, value: found.value, x, y };
  }

  hover(near) {
    const key = (one) => one && [one.layer, one.source, one.unit].join();
    const changed = key(near) !== key(this.near);
    this.near = near;
    this.root.classList.toggle("over", Boolean(near));
    this.tip.hidden = !near;
    if (near) {
      this.tip.textContent = `${short(near.value)}: click to open, drag up or down to change`;
      Object.assign(this.tip.style, { left: `${Math.min(near.x + 12, this.width - 250)}px`, top: `${near.y - 34}px` });
    }
    if (changed && this.picture) this.draw(this.picture, this.row);
  }

  move(event) {
    if (!this.dragged) return this.hover(this.lineAt(event));
    const { line, start } = this.dragged;
    const by = (start - event.clientY) * 0.02;
    if (!this.dragged.moved && Math.abs(by) < 0.06) return undefined;
    this.dragged.moved = true;
    return this.on.weight(line.layer - 1, line.source, line.unit, Number((line.value + by).toFixed(4)));
  }

  press(event) {
    const line = this.lineAt(event);
    if (!line) return;
    event.preventDefault();
    this.dragged = { line, start: event.clientY };
    this.root.setPointerCapture(event.pointerId);
    const end = () => {
      this.dragged = null;
      for (const name of ["pointerup", "pointercancel"]) this.root.removeEventListener(name, end);
    };
    for (const name of ["pointerup", "pointercancel"]) this.root.addEventListener(name, end);
    this.on.select({ part: "weight", layer: line.layer, source: line.source, unit: line.unit });
  }

  key(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const all = this.columns.flatMap(({ units }) => units);
    const now = all.find(({ button }) => button === document.activeElement);
    if (!now || !by || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const column = this.columns[Math.min(Math.max(now.layer + by[0], 0), this.columns.length - 1)].units;
    const nearest = column.reduce((best, one) => (Math.abs(one.y - now.y) < Math.abs(best.y - now.y) ? one : best));
    (by[0] ? nearest : column[now.unit + by[1]])?.button.focus();
  }
}

// The height of a line at x: a Bézier curve whose ends are level.
function heightAt(from, to, x) {
  const goal = (x - from.right) / (to.left - from.right);
  let [low, high] = [0, 1];
  for (let k = 0; k < 14; k++) {
    const t = (low + high) / 2;
    const across = 1.5 * t * (1 - t) ** 2 + 1.5 * t * t * (1 - t) + t ** 3;
    if (across < goal) low = t;
    else high = t;
  }
  const t = (low + high) / 2;
  return from.y + (to.y - from.y) * (3 * t * t - 2 * t ** 3);
}
