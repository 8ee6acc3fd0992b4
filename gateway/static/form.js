/** The form: what it asks for, as a body, as curl, and what is wrong with it. */

import { byId, el } from "./dom.js";
import { KINDS, STAGES } from "./words.js";

const FIELDS = ["tipo", "identificador", "prioridade", "etapas", "prazo", "finalidade", "base_legal"];
const NAMES = { base_legal: "Base legal", etapas: "Etapas" };

export class Form {
  #form = byId("ask");

  constructor() {
    for (const radio of this.#form.elements.tipo) radio.addEventListener("change", () => this.#onKind());
    const priority = byId("prioridade");
    const show = () => (byId("prioridade-shown").textContent = priority.value);
    priority.addEventListener("input", show);
    this.#form.addEventListener("input", (event) => this.#clear(event.target.name));
    show();
    this.#onKind();
  }

  get kind() {
    return this.#form.elements.tipo.value;
  }

  /** The stages that will be shown. */
  get stages() {
    return [...byId("stages-asked").querySelectorAll("input:checked")].map((box) => box.value);
  }

  /** The request's body; what is left at its default is left out. */
  get body() {
    const { elements } = this.#form;
    const body = { tipo: this.kind, identificador: elements.identificador.value };
    const priority = Number(elements.prioridade.value);
    if (priority !== 5) body.prioridade = priority;
    if (elements.atualizar.checked) body.atualizar = true;
    if (this.stages.join() !== KINDS[this.kind].stages.join()) body.etapas = this.stages;
    const deadline = elements.prazo.value.trim();
    // What is no number goes as it is: the server says what is wrong with it.
    if (deadline) body.prazo = Number(deadline.replace(",", ".")) || deadline;
    for (const name of ["finalidade", "base_legal"]) {
      if (elements[name].value.trim()) body[name] = elements[name].value.trim();
    }
    return body;
  }

  onSubmit(handler) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      for (const name of FIELDS) this.#clear(name);
      handler();
    });
  }

  /** The same request for a terminal. The key stays in the reader's shell. */
  curl(isKeyed) {
    const quoted = `'${JSON.stringify(this.body).replaceAll("'", "'\\''")}'`;
    return [
      `curl -N ${location.origin}/api/consulta-stream`,
      ...(isKeyed ? ['-H "Authorization: Bearer $CONSULTA_KEY"'] : []),
      "-H 'Content-Type: application/json'",
      `--data-raw ${quoted}`,
    ].join(" \\\n  ");
  }

  /** Show a problem at its field. Returns false if it is of no field of this form. */
  refuse({ field, detail }) {
    if (!FIELDS.includes(field)) return false;
    const shown = byId(`error-${field}`);
    shown.closest("details")?.setAttribute("open", "");
    shown.textContent = `${NAMES[field] ?? byId(field)?.labels[0].firstChild.textContent.trim() ?? field}: ${detail}.`;
    byId(field)?.setAttribute("aria-invalid", "true");
    return true;
  }

  #clear(name) {
    const error = byId(`error-${name}`);
    if (error) error.textContent = "";
    byId(name)?.removeAttribute("aria-invalid");
  }

  #onKind() {
    const { placeholder, hint, inputmode, stages, more } = KINDS[this.kind];
    const input = byId("identificador");
    input.placeholder = placeholder;
    input.inputMode = inputmode;
    byId("hint-identificador").textContent = hint;
    this.#clear("identificador");
    const box = (stage, checked) =>
      el("label.check", {}, el("input", { type: "checkbox", name: "etapas", value: stage, checked }), STAGES[stage].name);
    byId("stages-asked").replaceChildren(
      ...stages.map((stage) => box(stage, true)),
      ...more.map((stage) => box(stage, false)),
    );
  }
}
