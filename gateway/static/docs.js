/** The page of the API: both specifications, read as any client reads them. */

import { watchKeyField } from "./access.js";
import { byId, el } from "./dom.js";
import { fields, inline, named, prose, shown, type } from "./docs-schema.js";
import { tryIt } from "./docs-try.js";
import { ask } from "./problem.js";

async function start() {
  watchKeyField();
  try {
    const answers = await Promise.all(["/openapi.json", "/asyncapi.json"].map((address) => ask(address)));
    const [api, bus] = await Promise.all(answers.map((answer) => answer.json()));
    byId("about").append(...prose(api.info.description));
    byId("operations").append(...api.tags.map((tag) => group(api, tag)));
    byId("bus").append(...channels(bus));
    const types = { ...bus.components.schemas, ...api.components.schemas };
    byId("types").hidden = false;
    byId("types").append(...Object.keys(types).sort().map((name) => named(name, types[name])));
  } catch (problem) {
    byId("failure").textContent = problem.message;
  }
  addEventListener("hashchange", reveal);
  reveal();
}

/** Open what the address names: links to types lead into closed entries. */
function reveal() {
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}

function group(api, tag) {
  const found = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation.tags.includes(tag.name))
      .map(([method, operation]) => entry(api, method.toUpperCase(), path, operation)),
  );
  const title = `grupo-${tag.name}`;
  return el(
    "section",
    { "aria-labelledby": title },
    el("h2", { id: title }, tag.description),
    ...found,
  );
}

function entry(api, method, path, operation) {
  const inside = el("div");
  const details = el(
    "details.card.entry",
    { id: operation.operationId },
    el("summary", {}, el("span.method", {}, method), el("code", {}, path), el("span", {}, operation.summary)),
    inside,
  );
  // Filled when it is first opened: a page of closed entries is there at once.
  details.addEventListener("toggle", () => inside.append(...contract(api, method, path, operation)), { once: true });
  return details;
}

function contract(api, method, path, operation) {
  const scopes = operation.security.map((one) => one.chave ?? []).flat();
  const ticket = operation.security.some((one) => one.bilhete);
  const parts = [
    el("p.hint", {}, "Pede o escopo ", el("code", {}, scopes.join(", ")), ticket ? ", ou um bilhete." : "."),
  ];
  if (operation.parameters.length) {
    const rows = operation.parameters.map(({ name, in: place, schema, description }) => ({
      name,
      note: place === "header" ? "(cabeçalho)" : "",
      schema,
      about: description,
    }));
    parts.push(el("h3", {}, "Parâmetros"), fields(rows));
  }
  if (operation.requestBody) parts.push(el("h3", {}, "Corpo"), ...bodies(operation.requestBody.content, false));
  parts.push(el("h3", {}, "Respostas"));
  for (const [status, response] of Object.entries(operation.responses)) {
    const told = response.$ref ? api.components.responses[status] : response;
    const about = [el("p", {}, el("strong", {}, status), " ", ...inline(told.description))];
    parts.push(...about, ...(response.$ref ? [] : bodies(told.content ?? {}, true)));
  }
  parts.push(el("h3", {}, "Experimentar"), tryIt(method, path, operation));
  return parts;
}

function bodies(content, withExamples) {
  return Object.entries(content).flatMap(([media, { schema, examples, "x-item-schema": item }]) => [
    el("p.hint", {}, el("code", {}, media), ": ", ...type(schema), ...(item ? [" — ", ...type(item)] : [])),
    ...(withExamples ? Object.values(examples ?? {}).map(({ value }) => shown(value)) : []),
  ]);
}

function channels(bus) {
  const { messages } = bus.components;
  const found = Object.values(bus.channels).map((channel) => {
    const { exchange } = channel.bindings.amqp;
    const inside = Object.keys(channel.messages).flatMap((name) => [
      el("p.hint", {}, ...type(messages[name].payload)),
      ...messages[name].examples.map(({ payload }) => shown(payload)),
    ]);
    return el(
      "details.card.entry",
      {},
      el(
        "summary",
        {},
        el("span.method", {}, exchange ? exchange.name : "fila"),
        el("code", {}, channel.address),
      ),
      el("div", {}, ...prose(channel.description), ...inside),
    );
  });
  return [
    el("h2", {}, "Pelo barramento"),
    el("section.card", {}, ...prose(bus.info.description)),
    el("div.channels", {}, ...found),
  ];
}

start();
