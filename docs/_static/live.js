// Makes the code of a page editable, runs it in Python in the browser, and grades exercises there.

import { make } from "../playground/tools.js";
import { startPython } from "../playground/python.js";

const { pyodide, packages } = document.querySelector("script[data-pyodide]").dataset;
const places = { pyodide, packages, archive: "minigrad.zip", session: "Cells" };
const base = new URL("../playground/", import.meta.url);
const cells = [];
let python; // a promise of what sends messages

async function ask(message, note) {
  note("Loading Python…");
  python ??= startPython(places, ({ stage }) => note(`Loading ${stage}…`), base);
  try {
    const { send } = await python;
    note("Running…");
    return await send(message);
  } catch (error) {
    python = undefined;
    for (const cell of cells) cell.ran = false;
    return { out: "", html: [], error: error.message };
  }
}

// End the worker, which also ends an endless loop; the next run starts another one.
const stop = async () => (await python)?.end("Stopped. The next run starts with the first block again.");

const button = (text, pressed, properties = {}) => {
  const made = make("button", { type: "button", ...properties }, text);
  made.addEventListener("click", pressed);
  return made;
};

function bar(pressed, undo, label) {
  const parts = {
    run: button(label, pressed), halt: button("Stop", stop, { hidden: true }),
    undo: button("Undo my changes", undo, { hidden: true }), note: make("span", { role: "status" }),
  };
  const root = make("div", { className: "live-bar" }, ...Object.values(parts));
  const say = (text) => { parts.note.textContent = text; };
  const busy = (is) => { parts.run.disabled = is; parts.halt.hidden = !is; };
  return { root, say, busy, ...parts };
}

function show(place, { out, html = [], error }) {
  place.replaceChildren();
  if (out) place.append(make("pre", {}, out));
  for (const part of html) place.append(make("div", { className: "text_html", innerHTML: part }));
  if (error) place.append(make("pre", { className: "live-error" }, error));
}

class Cell {
  constructor(source, element) {
    Object.assign(this, { source, element, ran: false, number: cells.length });
    this.code = element?.querySelector(".cell_input pre");
    if (this.code) this.edit();
  }

  edit() {
    const { code, element } = this;
    const original = code.innerHTML;
    this.bar = bar(() => this.press(), () => {
      code.innerHTML = original;
      this.bar.undo.hidden = true;
      this.changed();
    }, "Run");
    element.querySelector(".cell_input").after(this.bar.root);
    code.setAttribute("contenteditable", "plaintext-only");
    if (!code.isContentEditable) code.contentEditable = "true";
    Object.assign(code, { spellcheck: false, role: "textbox", ariaMultiLine: "true", ariaLabel: "Code" });
    code.addEventListener("input", () => { this.bar.undo.hidden = false; this.changed(); });
    code.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !event.shiftKey) return;
      event.preventDefault();
      this.press();
    });
  }

  changed() {
    this.source = this.code.textContent;
    for (const cell of cells.slice(this.number)) cell.ran = false;
  }

  // Run the blocks before this one that haven't run, and then this one.
  async press() {
    this.bar.busy(true);
    for (const cell of cells.slice(0, this.number)) {
      if (!cell.ran && !(await cell.run(this.bar.say))) {
        this.bar.say("A block above this one has an error.");
        return this.bar.busy(false);
      }
    }
    await this.run(this.bar.say);
    return this.bar.busy(false);
  }

  async run(say) {
    const answer = await ask({ do: "run", source: this.source }, say);
    say(answer.error ? "" : "Done.");
    this.ran = !answer.error || !this.code;
    if (!this.code) return true; // a hidden block prepares others, or shows what the page has
    if (!this.output) {
      for (const old of this.element.querySelectorAll(":scope > .cell_output")) old.hidden = true;
      this.output = make("div", { className: "cell_output live-output" });
      this.bar.root.after(this.output);
    }
    show(this.output, answer);
    return this.ran;
  }
}

function exercise(root) {
  const { name } = root.dataset;
  const sheet = root.querySelector("textarea");
  const kept = `minigrad exercise ${name}`;
  const original = sheet.value;
  const output = make("div", { className: "live-output" });
  const passed = (is) => root.classList.toggle("passed", is);
  const keep = (state) => localStorage.setItem(kept, JSON.stringify(state));
  const check = async () => {
    controls.busy(true);
    const answer = await ask({ do: "grade", name, source: sheet.value }, controls.say);
    controls.busy(false);
    controls.say(answer.passed ? "Correct." : "Not yet.");
    show(output, answer.passed ? { out: "" } : answer);
    passed(answer.passed);
    keep({ text: sheet.value, passed: answer.passed });
  };
  const controls = bar(check, () => {
    sheet.value = original;
    controls.undo.hidden = true;
    localStorage.removeItem(kept);
    passed(false);
  }, "Check");
  const before = JSON.parse(localStorage.getItem(kept) ?? "null");
  if (before) {
    sheet.value = before.text;
    passed(before.passed);
    controls.undo.hidden = sheet.value === original;
  }
  sheet.addEventListener("input", () => {
    controls.undo.hidden = false;
    keep({ text: sheet.value, passed: false });
    passed(false);
  });
  sheet.after(controls.root, output);
}

const found = [...document.querySelectorAll("div.cell")].filter((cell) => cell.querySelector(".cell_input pre"));
for (const { source, shown } of JSON.parse(document.getElementById("live-cells")?.textContent ?? "[]")) {
  cells.push(new Cell(source, shown ? found.shift() : null));
}
document.querySelectorAll(".exercise").forEach(exercise);
