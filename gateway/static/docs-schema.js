/** Schemas for people: types in a line, fields in a list, names that lead to their type. */

import { el } from "./dom.js";

/** Text in which `this` is code and an empty line parts paragraphs. */
export function prose(text) {
  return text.trim().split(/\n\s*\n/).map((part) => el("p", {}, ...inline(part)));
}

export function inline(text) {
  return text.split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));
}

/** A value as indented JSON, or a text as it is. */
export function shown(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  // Whoever cannot point has to be able to scroll it too.
  return el("pre", { tabindex: "0" }, text);
}

/** The type of a schema, in a line. */
export function type(schema) {
  if (schema === true || !Object.keys(schema).length) return ["qualquer valor"];
  if (schema.$ref) return [link(schema.$ref)];
  if (schema.anyOf) return joined(schema.anyOf.map(type), " ou ");
  if (schema.const !== undefined) return [el("code", {}, String(schema.const))];
  if (schema.enum) return joined(schema.enum.map((word) => [el("code", {}, String(word))]), ", ");
  if (schema.contentSchema) return ["texto JSON de ", ...type(schema.contentSchema)];
  if (schema.type === "array") return ["lista de ", ...type(schema.items ?? true)];
  if (schema.type === "object") {
    if (schema.additionalProperties) return ["por nome, ", ...type(schema.additionalProperties)];
    const names = Object.entries(schema.properties ?? {});
    return ["objeto com ", ...joined(names.map(([name, of]) => [`${name}: `, ...type(of)]), "; ")];
  }
  return [`${WORDS[schema.type] ?? schema.type ?? "qualquer valor"}${limits(schema)}`];
}

const WORDS = { string: "texto", integer: "inteiro", number: "número", boolean: "sim ou não", null: "nulo" };

function limits(schema) {
  const { minimum, maximum, minLength, maxLength, pattern } = schema;
  if (minimum !== undefined) return maximum === undefined ? ` ≥ ${minimum}` : ` de ${minimum} a ${maximum}`;
  if (maxLength !== undefined) return ` de ${minLength ?? 0} a ${maxLength} caracteres`;
  return pattern ? ` ${pattern}` : "";
}

function joined(parts, between) {
  return parts.flatMap((part, place) => (place ? [between, ...part] : part));
}

function link(reference) {
  const name = reference.split("/").pop();
  return el("a", { href: `#tipo-${name}` }, name);
}

/** Rows of name, type and meaning. */
export function fields(rows) {
  return el(
    "dl.fields",
    {},
    ...rows.map(({ name, note, schema, about }) =>
      el(
        "div",
        {},
        el("dt", {}, el("code", {}, name), note ? ` ${note}` : ""),
        el("dd", {}, ...inline(about ?? ""), el("p.hint", {}, ...type(schema), fallback(schema))),
      ),
    ),
  );
}

function fallback(schema) {
  return schema.default === undefined || schema.default === null ? "" : `; sem ele, ${schema.default}`;
}

/** A named type. */
export function named(name, schema) {
  const required = new Set(schema.required);
  const rows = Object.entries(schema.properties ?? {}).map(([field, of]) => ({
    name: field,
    note: required.has(field) ? "(sempre)" : "",
    schema: of,
    about: of.description,
  }));
  const kinds = (schema.oneOf ?? []).map(({ properties }) => ({
    name: `tipo: ${properties.tipo.const}`,
    schema: properties.dados,
    about: "`dados`:",
  }));
  return el(
    "details.card.entry",
    { id: `tipo-${name}` },
    el("summary", {}, el("code", {}, name), el("span", {}, ...inline(schema.description ?? ""))),
    el("div", {}, fields(rows), kinds.length ? fields(kinds) : null),
  );
}
