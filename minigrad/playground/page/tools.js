// What all parts of the page use: elements, numbers as text, colors, canvases.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function short(value) {
  if (value === null || value === undefined) return "not finite";
  const size = Math.abs(value);
  const text = size && (size < 1e-4 || size >= 1e5) ? value.toExponential(1) : String(+value.toPrecision(3));
  return text.replaceAll("-", "\u2212").replace("e+", "e");
}

export const whole = (value) => value.toLocaleString("en");

export function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// Colors: those of the style, and ramps of bytes from low (orange) to high (blue).

const NAMES = ["paper", "panel", "grid", "edge", "muted", "ink", "series-0", "series-1", "series-2"];
const CLASSES = ["series-1", "series-0", "series-2", "muted", "edge", "ink"];
export const color = {};
export const ramp = new Uint32Array(256);
export const fills = new Uint32Array(24);

export function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of NAMES) color[name] = style.getPropertyValue(`--${name}`).trim();
  const channels = (name) => color[name].match(/\w\w/g).map((pair) => parseInt(pair, 16));
  const [low, middle, high] = ["series-1", "paper", "series-0"].map(channels);
  const mixed = (end, part) => {
    const [r, g, b] = middle.map((value, c) => Math.round(value + part * (end[c] - value)));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  };
  for (let i = 0; i < 256; i++) {
    const share = (i - 128) / 128;
    ramp[i] = mixed(share < 0 ? low : high, 0.85 * Math.abs(share));
  }
  for (let i = 0; i < fills.length; i++) fills[i] = mixed(channels(CLASSES[i % CLASSES.length]), 0.45);
}

export const classColor = (k) => color[CLASSES[k % CLASSES.length]];

export function css(pixel) {
  return `rgb(${pixel & 255} ${(pixel >> 8) & 255} ${(pixel >> 16) & 255})`;
}

// Fill a small canvas with a square of pixels; the style enlarges it.
export function paint(canvas, values, start, side, colors = ramp) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < side * side; i++) pixels[i] = colors[values[start + i]];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Return a cleared context in pixels of the style, and its size.
export function cleared(canvas) {
  const ratio = window.devicePixelRatio;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  return [context, width, height];
}

export function ticks(low, high, most) {
  const rough = (high - low) / Math.max(1, most) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) {
    found.push(Math.abs(value) < step / 1e6 ? 0 : value);
  }
  return found;
}
