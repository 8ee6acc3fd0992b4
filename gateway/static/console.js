/** The console: one page, two views, and the lookup that its address names. */

import { access, watchKeyField } from "./access.js";
import { byId } from "./dom.js";
import { Form } from "./form.js";
import { cancel, follow, lookUp, Problem } from "./lookup-stream.js";
import { LookupView } from "./lookup-view.js";
import { Operations } from "./operations.js";

const LOOKUP = /^#\/consulta\/([0-9a-fA-F-]{36})$/;

const form = new Form();
const view = new LookupView();
const operations = new Operations(byId("operations"));
let streaming = new AbortController();
let current = null;

/** Stream a lookup into the view; one at a time, the one before goes on without us. */
async function show(open) {
  streaming.abort();
  streaming = new AbortController();
  const { signal } = streaming;
  try {
    await open({
      ...access(),
      signal,
      onTask: (taskId) => onTask(taskId),
      onEvent: (event) => view.onEvent(event),
      onState: (state, about) => view.onState(state, about),
      onReset: () => view.reset(),
    });
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401) byId("api-key").closest("details").open = true;
    if (form.refuse(error)) view.clear();
    else view.fail(error);
  }
}

function onTask(taskId) {
  become(taskId);
  view.onTask(taskId);
  const address = addressOf(taskId);
  if (location.hash !== address) history.pushState(null, "", address);
}

/** The lookup that is shown; the way back from the other view leads to it. */
function become(taskId) {
  current = taskId;
  document.querySelector('[data-view="lookup"]').hash = addressOf(taskId);
}

function addressOf(taskId) {
  return taskId ? `#/consulta/${taskId}` : "#/";
}

function route() {
  const isOperations = location.hash === "#/operacao";
  byId("lookup").hidden = isOperations;
  byId("operations").hidden = !isOperations;
  document.title = isOperations ? "Operação · Consulta" : "Consulta";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === (isOperations ? "operations" : "lookup")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  operations.show(isOperations);
  const taskId = LOOKUP.exec(location.hash)?.[1];
  if (taskId && taskId !== current) {
    become(taskId);
    view.replay();
    show((options) => follow(taskId, options));
  } else if (location.hash === "#/" && current) {
    streaming.abort();
    become(null);
    view.clear();
  }
}

async function onCancel() {
  view.say("Cancelando…"); // its end comes as an event, maybe before the answer
  try {
    await cancel(current, access());
  } catch (error) {
    view.say(error.detail ?? "o cancelamento falhou");
  }
}

async function onCopy() {
  const curl = form.curl(Boolean(access().apiKey));
  try {
    await navigator.clipboard.writeText(curl);
    view.say("Comando curl copiado.");
    flash(byId("copy-curl"), "Copiado");
  } catch {
    view.say("O navegador não deixou copiar; use a página por https ou em 127.0.0.1.");
  }
}

/** A button's word for what it did, where the eye is. */
function flash(button, word) {
  const before = (button.dataset.word ??= button.textContent);
  button.textContent = word;
  setTimeout(() => (button.textContent = before), 2000);
}

form.onSubmit(() => {
  become(null);
  view.begin(form.kind, form.stages);
  show((options) => {
    const onTask = (taskId) => {
      options.onTask(taskId);
      view.reveal();
    };
    return lookUp(form.body, { ...options, onTask });
  });
});
byId("cancel").addEventListener("click", onCancel);
byId("copy-curl").addEventListener("click", onCopy);
addEventListener("hashchange", route);
watchKeyField();
route();
