/** A record as a list of facts. */

import { el } from "./dom.js";
import { ordered, value } from "./format.js";
import { fieldName } from "./words.js";

// What would break over lines in one column gets two.
const LONG = 17;

/** What a stage found, in the order in which people look for it. */
export function facts(record) {
  const list = el("dl.facts");
  for (const [name, told] of ordered(record)) {
    if (told === null || (Array.isArray(told) && !told.length)) continue;
    const text = value(name, told);
    list.append(el(place(text), {}, el("dt", {}, fieldName(name)), el("dd", {}, shown(name, told))));
  }
  return list;
}

function place(text) {
  if (Array.isArray(text)) return "div.many";
  return text.length > LONG ? "div.long" : "div";
}

/** One value: a text, or a list of texts. */
export function shown(name, told) {
  const text = value(name, told);
  if (!Array.isArray(text)) return text;
  if (text.length === 1) return text[0];
  return el("ul.values", {}, ...text.map((each) => el("li", {}, each)));
}
