"use strict";

// Names, numbers and lines as elements: z1[0] as z with an index, 1e-5 as a power of ten.

const TOKEN =
  /(Σ_\w+|[A-Za-zα-ω][\wα-ω]*'*(?:\|[\w.]+)?(?:\[[^\]]*\])?)|(\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(.)/gsu;
const NAME = /^([^\d|[\]']+?)_?(\d*)('*)(?:\|([\w.]+))?(\[[^\]]*\])?$/u;

function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function minus(text) {
  return text.replaceAll("-", "\u2212");
}

function numeral(text) {
  const [mantissa, power] = text.split("e");
  if (power === undefined) return document.createTextNode(minus(text));
  const exponent = make("sup", {}, minus(String(Number(power))));
  return make("span", {}, `${minus(mantissa)} × 10`, exponent);
}

function short(text) {
  return /[.e]/.test(text) ? Number(text).toPrecision(3) : text;
}

function nameOf(text) {
  if (text.startsWith("Σ_")) return ["Σ", make("sub", {}, text.slice(2))];
  const parts = NAME.exec(text);
  if (!parts) return [document.createTextNode(text)];
  const [, base, level, primes, by, index] = parts;
  const [letter, below] = base[1] === "_" ? [base[0], base.slice(2)] : [base, ""];
  const made = [make("i", {}, letter)];
  if (below || level) made.push(make("sub", {}, below + level));
  if (primes) made.push(primes);
  if (by) made.push(make("small", {}, ` by ${by} `));
  if (index) made.push(make("span", { className: "index" }, index));
  return made;
}

function typeset(text) {
  const made = make("span", { className: "math" });
  let raised = false;
  for (const match of text.matchAll(TOKEN)) {
    const [word, name, number] = match;
    const calls = text[match.index + word.length] === "(" && !word.includes("'");
    let shown = word === "-" ? "\u2212" : word;
    if (number) shown = numeral(number);
    else if (name && !calls) shown = make("span", { className: "name" }, ...nameOf(name));
    if (word === "^") raised = true;
    else {
      made.append(raised && (name || number) ? make("sup", {}, shown) : shown);
      raised = false;
    }
  }
  return made;
}

function sign(value, first) {
  if (first) return `${first} `;
  return value.startsWith("-") ? "\u2212 " : "+ ";
}

function whole(...parts) {
  return make("span", { className: "whole" }, ...parts);
}

function factorNumbers(term, first) {
  const made = make("span");
  term.factors.forEach(([name, value], place) => {
    let shown = value;
    if (place === 0 && !first) shown = value.replace(/^-/, "");
    if (place) made.append(" × ");
    const enclosed = place > 0 && shown.startsWith("-");
    made.append(make("span", { title: name }, enclosed ? "(" : "", numeral(shown), enclosed ? ")" : ""));
  });
  return made;
}

const MOST_TERMS = 12; // in a row; a selected number has all in its table

function inOneRow(line) {
  const made = make("span", { className: "math" });
  const terms = line.terms ?? [];
  const equals = line.sign ?? "=";
  if (terms.length === 1 && terms[0].factors.length === 1 && !line.omitted) {
    made.append(`${equals} `, typeset(terms[0].factors[0][0]), " ");
  } else if (terms.length > MOST_TERMS) {
    made.append(whole(`${equals} the sum of ${terms.length + (line.omitted ?? 0)} terms`), " ");
  } else {
    terms.forEach((term, place) => {
      const first = place === 0;
      made.append(whole(sign(term.factors[0][1], first && equals), factorNumbers(term, first)), " ");
    });
    if (line.omitted && terms.length <= MOST_TERMS) {
      const rest = numeral(line.rest.replace(/^-/, ""));
      made.append(whole(sign(line.rest, false), rest, ` (${line.omitted} others)`), " ");
    }
    if (line.formula) made.append(`${equals} `, typeset(line.formula), " ");
  }
  if (line.formula !== line.value) {
    const result = whole("= ", numeral(line.value));
    result.classList.add("result");
    made.append(result);
  }
  return made;
}
