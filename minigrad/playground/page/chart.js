// The losses over the epochs, with the curves of runs that were kept.

import { cleared, color, short, ticks, whole } from "./tools.js";

function levels(low, high, log, height) {
  if (!log) return ticks(low, high, height / 40);
  const step = Math.max(1, Math.ceil((high - low) / (height / 26)));
  const found = [];
  for (let power = Math.ceil(low / step) * step; power <= high; power += step) found.push(10 ** power);
  return found.length > 1 ? found : ticks(10 ** low, 10 ** high, height / 40);
}

export function drawLosses(canvas, curve, kept, moment) {
  const [context, width, height] = cleared(canvas);
  const runs = [...kept.map((run) => run.curve), curve];
  const values = runs.flatMap((run) => run.flatMap(([, train, test]) => [train, test]));
  const finite = values.filter((value) => value !== null && value !== undefined && value < 1e9);
  if (!finite.length) return;
  const last = Math.max(1, ...runs.map((run) => run.at(-1)[0]));
  const [lowest, highest] = [Math.min(...finite), Math.max(...finite)];
  const log = lowest > 0 && highest > 8 * lowest;
  const scale = log ? Math.log10 : (value) => value;
  const room = (scale(highest) - scale(lowest)) * 0.06 || 0.05;
  const [low, high] = [scale(lowest) - room, scale(highest) + room];
  const box = { left: 46, right: width - 8, top: 8, bottom: height - 20 };
  const x = (epoch) => box.left + (epoch / last) * (box.right - box.left);
  const y = (value) => box.bottom - ((scale(value) - low) / (high - low)) * (box.bottom - box.top);
  context.fillStyle = color.muted;
  for (const level of levels(low, high, log, box.bottom - box.top)) {
    if (y(level) < box.top - 1 || y(level) > box.bottom + 1) continue;
    context.fillStyle = color.grid;
    context.fillRect(box.left, y(level), box.right - box.left, 1);
    context.fillStyle = color.muted;
    context.textAlign = "right";
    context.fillText(short(level), box.left - 6, y(level) + 4);
  }
  for (const epoch of ticks(0, last, width / 80)) {
    if (epoch % 1 || x(epoch) > box.right - 4) continue;
    context.textAlign = "center";
    context.fillText(whole(epoch), x(epoch), height - 5);
  }
  const line = (run, place, ink, dash, wide) => {
    context.strokeStyle = ink;
    context.lineWidth = wide;
    context.setLineDash(dash);
    context.beginPath();
    for (const point of run) {
      if (point[place] !== null && point[place] !== undefined) context.lineTo(x(point[0]), y(point[place]));
      else context.moveTo(x(point[0]), box.top);
    }
    context.stroke();
  };
  context.lineJoin = "round";
  kept.forEach(({ name, curve: run }, k) => {
    line(run, 1, color.edge, k % 2 ? [2, 3] : [], 1.5);
    const end = run.at(-1);
    context.setLineDash([]);
    context.fillStyle = color.muted;
    context.textAlign = x(end[0]) > width / 2 ? "right" : "left";
    if (end[1] !== null) context.fillText(name, x(end[0]), y(end[1]) - 4);
  });
  if (curve.some((point) => point[2] !== undefined)) line(curve, 2, color["series-2"], [5, 3], 2);
  line(curve, 1, color["series-0"], [], 2.5);
  context.setLineDash([]);
  if (moment !== null) {
    context.fillStyle = color.ink;
    context.fillRect(x(moment) - 0.5, box.top, 1, box.bottom - box.top);
  }
}
