// The lines of the diagram: their ways, the numbers beside them, and the one nearest to a point.

const LANE = 7; // pixels between the lines of a lane
const PIECES = 16; // straight pieces that stand for a curve
const SVG = "http://www.w3.org/2000/svg";

function svgElement(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function grouped(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

// Where a line ends at its two units: in the order of their other ends, so that they don't overlap.
function setPorts() {
  const height = (place) => place.middle ?? place.above;
  for (const [end, other] of [[0, 1], [1, 0]]) {
    for (const [key, edges] of grouped(row.edges, (edge) => edge[end])) {
      const unit = units.get(key);
      const far = (edge) => (end ? edge.lanes.at(-1) : edge.lanes[0]) ?? units.get(edge[other]);
      edges.sort((a, b) => height(far(a)) - height(far(b)));
      const pitch = Math.min(end ? 10 : 14, (unit.bottom - unit.top - 24) / edges.length);
      edges.forEach((edge, i) => {
        (edge.ports ??= [])[end] = unit.middle + (i - (edges.length - 1) / 2) * pitch;
      });
    }
  }
}

// The curves of a line from its source over its lanes to its target: [x, y, right, below, bend].
function curvesOf(edge) {
  const [start, end] = [units.get(edge[0]), units.get(edge[1])];
  const points = [[start.right, edge.ports[0]]];
  for (const lane of edge.lanes) {
    const y = lane.above + (lane.lane.indexOf(edge) + 1) * lane.pitch;
    points.push([lane.left, y], [lane.right, y]);
  }
  points.push([end.left, edge.ports[1]]);
  // The place of the bend depends on the source, so that lines don't cross in their middles.
  const bend = 0.38 + (0.24 * (start.y + 0.5)) / start.many;
  return points.slice(1).map(([right, below], i) => [...points[i], right, below, bend]);
}

function pointsOf(curves) {
  const points = [curves[0].slice(0, 2)];
  for (const [x, y, right, below, bend] of curves) {
    const middle = x + bend * (right - x);
    for (let i = 1; i <= PIECES; i += 1) {
      const [t, s] = [i / PIECES, 1 - i / PIECES];
      points.push([
        s ** 3 * x + 3 * s * t * middle + t ** 3 * right,
        (s ** 3 + 3 * s * s * t) * y + (3 * s * t * t + t ** 3) * below,
      ]);
    }
  }
  return points;
}

// A number that stands in little room.
function brief(text) {
  const value = Number(text);
  return minus(Number.isFinite(value) ? String(Number(value.toPrecision(2))) : text);
}

function drawLines(svg) {
  const largest = new Map();
  for (const [, , name] of row.edges.filter((edge) => edge[2])) {
    const { of, value } = row.weights[name];
    largest.set(of, Math.max(largest.get(of) ?? 0, Math.abs(Number(value)) || 0));
  }
  setPorts();
  for (const edge of row.edges) {
    const curves = curvesOf(edge);
    const d = curves.map(([x, y, right, below, bend], i) => {
      const middle = x + bend * (right - x);
      return `${i ? "" : `M${x} ${y}`}C${middle} ${y} ${middle} ${below} ${right} ${below}`;
    });
    const { of, value } = row.weights[edge[2]] ?? { value: 0 };
    const share = Math.abs(Number(value)) / (largest.get(of) || 1) || 0;
    const kind = edge[2] ? (Number(value) < 0 ? " negative" : "") : " plain";
    edge.path = svgElement("path", {
      d: d.join(""), class: `edge${kind}`, "stroke-width": (1.4 + 3.6 * share).toFixed(2),
    });
    edge.points = pointsOf(curves);
    svg.append(edge.path);
  }
  for (const edge of row.edges.filter(([, , name]) => name)) {
    edge.label = svgElement("text", { class: "weight" });
    edge.label.textContent = brief(row.weights[edge[2]].value);
    svg.append(edge.label);
  }
  for (const edges of groupsOf()) {
    const places = [0.5, 0.4, 0.6, 0.32, 0.68, 0.25, 0.75];
    const fits = edges.length <= 16 ? places.find((share) => areApart(edges, share)) : undefined;
    for (const edge of edges) edge.share = fits;
  }
}

// The weighted lines that share a gap between columns.
function groupsOf() {
  const weighted = row.edges.filter(({ label }) => label);
  return grouped(weighted, ([from]) => units.get(from).x).values();
}

function along({ points }, share) {
  const lengths = points.slice(1).map(([x, y], i) => Math.hypot(x - points[i][0], y - points[i][1]));
  let left = share * lengths.reduce((sum, length) => sum + length, 0);
  const i = lengths.findIndex((length) => (left -= length) <= 0);
  const back = i < 0 ? 0 : -left / (lengths[i] || 1);
  const [[x, y], [right, below]] = [points.at(i < 0 ? -2 : i), points.at(i < 0 ? -1 : i + 1)];
  return [right - back * (right - x), below - back * (below - y)];
}

// Whether the numbers at this share of the lines' lengths overlap neither each other nor units.
function areApart(edges, share) {
  const boxes = edges.map((edge) => {
    const [x, y] = along(edge, share);
    const half = 3.1 * edge.label.textContent.length;
    const inside = x - half >= edge.points[0][0] && x + half <= edge.points.at(-1)[0];
    return inside || edge.lanes.length ? [x, y, half] : null;
  });
  return boxes.every((box, i) => box && boxes.slice(0, i).every(
    ([x, y, half]) => Math.abs(box[1] - y) >= 14 || Math.abs(box[0] - x) >= half + box[2] + 4,
  ));
}

// Write the weights beside their lines: all where there is room, else those that are named.
function showWeights(named) {
  const shown = row.edges.filter(({ label }) => label);
  const chosen = shown.filter(({ 2: name }) => named.has(name));
  const count = (end) => new Set(chosen.map((edge) => edge[end])).size;
  const near = count(1) < count(0) ? 0.24 : 0.76; // lines are apart at the ends that they don't share
  for (const edge of shown) {
    const visible = edge.share !== undefined || named.has(edge[2]);
    edge.label.style.display = visible ? "" : "none";
    edge.label.textContent = brief(weightNow(edge[2]));
    const [x, y] = along(edge, edge.share ?? near);
    edge.label.setAttribute("x", x);
    edge.label.setAttribute("y", y + 4);
    edge.label.classList.toggle("named", named.has(edge[2]));
  }
}

// Dots on the lines of a step: values move to the right and deltas to the left, each by its size.
function showFlow(step) {
  for (const dot of row.dots ?? []) dot.remove();
  const back = step.phase === "backward";
  const sizeOf = ([from, to]) => {
    const unit = units.get(back ? to : from);
    const name = known(back ? unit.deltas : unit.values);
    return isLoss(unit.values[0]) ? 1 : Math.abs(Number(row.lines[name]?.value)) || 0;
  };
  const lines = step.phase === "update" ? [] : row.edges.filter(({ path }) => path.matches(".now"));
  const moving = lines.filter(sizeOf);
  const largest = Math.max(...moving.map(sizeOf));
  row.dots = moving.map((edge) => {
    const r = (2 + 3.5 * sizeOf(edge) / largest).toFixed(1);
    const dot = svgElement("circle", { r, class: back ? "dot delta" : "dot" });
    row.edges.at(-1).path.after(dot); // above all lines, below their numbers
    if (still.matches) {
      const [x, y] = along(edge, back ? 0.2 : 0.8);
      dot.setAttribute("transform", `translate(${x} ${y})`);
    } else {
      dot.append(svgElement("animateMotion", {
        path: edge.path.getAttribute("d"), dur: "1.6s", repeatCount: "indefinite",
        keyPoints: back ? "1;0" : "0;1", keyTimes: "0;1", calcMode: "linear",
      }));
    }
    return dot;
  });
}

function nearestLine(event, most) {
  const box = byId("graph").getBoundingClientRect();
  const [px, py] = [event.clientX - box.left, event.clientY - box.top];
  let found = null;
  let least = most;
  for (const edge of row.edges) {
    for (let i = 1; i < edge.points.length; i += 1) {
      const [[x, y], [right, below]] = [edge.points[i - 1], edge.points[i]];
      const [dx, dy] = [right - x, below - y];
      const t = ((px - x) * dx + (py - y) * dy) / (dx * dx + dy * dy || 1);
      const s = Math.min(Math.max(t, 0), 1);
      const far = Math.hypot(px - x - s * dx, py - y - s * dy);
      if (far < least) [found, least] = [edge, far];
    }
  }
  return found;
}

let pressed; // the last press, whose place is more exact than that of the click

// A line under the pointer shows its weight; a click selects the weight, or what the line leads to.
function hover(event) {
  const edge = event.target.closest("button") ? null : nearestLine(event, 8);
  const tip = byId("tip");
  for (const one of row.edges) one.path.classList.toggle("near", one === edge);
  byId("graph").style.cursor = edge ? "pointer" : "";
  tip.hidden = !edge;
  if (!edge) return;
  const [from, to, name] = edge;
  if (name) tip.replaceChildren(typeset(`${name} = ${weightNow(name)}`));
  else tip.replaceChildren(typeset(from), " → ", typeset(to));
  const box = byId("graph").getBoundingClientRect();
  const left = Math.min(event.clientX - box.left + 12, box.width - tip.offsetWidth);
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${event.clientY - box.top + 16}px`;
}

function clickLine(event) {
  if (event.target.closest("button")) return;
  const edge = nearestLine(pressed ?? event, 14);
  if (edge?.[2]) pick("weight", edge[2]);
  else if (edge) pick("unit", edge[1]);
}
