/** Call an operation from its page. */

import { accessHeaders } from "./access.js";
import { el } from "./dom.js";

/**
 * A form for one operation.
 *
 * @param {string} method
 * @param {string} path with its names in braces
 * @param {any} operation as the document has it
 */
export function tryIt(method, path, operation) {
  const id = operation.operationId;
  const inputs = operation.parameters.map((parameter) => ({
    parameter,
    input: el("input", {
      id: `${id}-${parameter.in}-${parameter.name}`,
      autocomplete: "off",
      value: parameter.required ? parameter.example : null,
      placeholder: parameter.example,
      required: parameter.required,
    }),
  }));
  const body = operation.requestBody && bodyFields(id, operation.requestBody.content);
  const answer = el("div", { role: "status" });
  const stop = el("button", { type: "button", hidden: true }, "Parar");
  const form = el(
    "form",
    {},
    ...inputs.map(({ parameter, input }) => labelled(`${parameter.name} (${PLACES[parameter.in]})`, input)),
    ...(body?.fields ?? []),
    el("div.actions", {}, el("button.primary", { type: "submit" }, "Enviar"), stop),
    answer,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const leave = new AbortController();
    stop.onclick = () => leave.abort();
    stop.hidden = false;
    try {
      await send(requestOf(method, path, inputs, body), leave.signal, answer);
    } catch (error) {
      answer.append(el("p.hint", {}, leave.signal.aborted ? "parado" : `não deu: ${error.message}`));
    } finally {
      stop.hidden = true;
    }
  });
  return form;
}

const PLACES = { path: "no endereço", query: "na consulta do endereço", header: "cabeçalho" };

function labelled(text, input) {
  return el("div.field", {}, el("label", { for: input.id }, text), input);
}

/** The examples of every media type in one choice, and the text to send. */
function bodyFields(id, content) {
  const shown = Object.entries(content).flatMap(([media, { examples }]) =>
    Object.entries(examples).map(([name, { value }]) => ({ media, name, value })),
  );
  const choice = el(
    "select",
    { id: `${id}-exemplo` },
    ...shown.map(({ media, name }, place) => el("option", { value: place }, `${name} (${media})`)),
  );
  const text = el("textarea", { id: `${id}-corpo`, spellcheck: "false" });
  const fill = () => {
    const { value } = shown[Number(choice.value)];
    text.value = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  };
  choice.addEventListener("change", fill);
  choice.value = "0";
  fill();
  return {
    fields: [labelled("Exemplo", choice), labelled("Corpo", text)],
    media: () => shown[Number(choice.value)].media,
    text: () => text.value,
  };
}

function requestOf(method, path, inputs, body) {
  const query = new URLSearchParams();
  const headers = accessHeaders();
  let where = path;
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") where = where.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (!input.value) continue;
    else if (parameter.in === "query") query.set(parameter.name, input.value);
    else headers[parameter.name] = input.value;
  }
  if (body) headers["Content-Type"] = body.media();
  const address = query.size ? `${where}?${query}` : where;
  return [address, { method, headers, body: body?.text(), cache: "no-store" }];
}

/** Send, and show the answer as it comes: a stream's events are seen one by one. */
async function send([address, init], signal, answer) {
  answer.replaceChildren();
  const began = performance.now();
  const response = await fetch(address, { ...init, signal });
  const told = ["Content-Type", "Location", "Retry-After"].filter((name) => response.headers.has(name));
  const text = el("pre", { tabindex: "0" });
  answer.append(
    el("p", {}, el("strong", {}, `${response.status} ${response.statusText}`), ` em ${Math.round(performance.now() - began)} ms`),
    ...told.map((name) => el("p.hint", {}, `${name}: ${response.headers.get(name)}`)),
    text,
  );
  const isJson = /json$/.test((response.headers.get("Content-Type") ?? "").split(";")[0]);
  if (isJson && !response.headers.get("Content-Type").includes("ndjson")) {
    text.append(JSON.stringify(await response.json(), null, 2));
    return;
  }
  const decoder = new TextDecoder();
  for (let reader = response.body?.getReader(); reader; ) {
    const { done, value } = await reader.read();
    if (done) break;
    text.append(decoder.decode(value, { stream: true }));
  }
}
