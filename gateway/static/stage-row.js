/** One stage's row: there from the start, its time running, then what came of it. */

import { badge, el } from "./dom.js";
import { facts } from "./facts.js";
import { ago, clock, duration, elapsed, percent, until } from "./format.js";
import { OUTCOMES, reason, STAGES } from "./words.js";

export class StageRow {
  #time = el("span.stage-time");
  #badges = el("span.badges");
  #note = el("p.stage-note");
  #body = el("div.stage-body");
  #startedAt = null;
  #retryAt = null;

  /** @param {string} stage  @param {string | null} waitsFor the stage whose data it needs */
  constructor(stage, waitsFor) {
    const { name, about } = STAGES[stage] ?? { name: stage, about: "" };
    this.stage = stage;
    this.waitsFor = waitsFor;
    this.node = el(
      "li.stage",
      { "data-stage": stage },
      el(
        "div.stage-head",
        {},
        el("span.stage-mark", { "aria-hidden": "true" }),
        el("h3", {}, name),
        el("span.stage-about", {}, about),
        this.#badges,
        this.#time,
      ),
      this.#note,
      this.#body,
    );
    this.#become("waiting");
    this.#badges.append(badge(waitsFor ? `espera ${STAGES[waitsFor].name}` : "na fila", "neutral"));
  }

  get isOpen() {
    return ["waiting", "running", "limited"].includes(this.node.dataset.state);
  }

  /** The work on it has begun, at this point of the page's clock. */
  start(at) {
    if (this.node.dataset.state !== "waiting") return;
    this.#startedAt = at;
    this.#become("running");
    this.#badges.replaceChildren(badge("consultando", "info"));
    this.tick(performance.now());
  }

  /** Its rate limit is exhausted until an instant. */
  limit(retryAt) {
    if (!this.isOpen) return;
    this.#retryAt = Date.parse(retryAt);
    this.#become("limited");
    this.#badges.replaceChildren(badge("limite esgotado", "warn"));
    this.tick(performance.now());
  }

  tick(now) {
    if (!this.isOpen) return;
    if (this.#startedAt !== null) this.#time.textContent = elapsed(now - this.#startedAt);
    if (this.node.dataset.state !== "limited") return;
    const left = this.#retryAt - Date.now();
    const when = left > 0 ? `${until(left)}, às ${clock(this.#retryAt)}` : "agora";
    this.#note.textContent = `Aguarda o limite de consultas da fonte; a vez chega ${when}.`;
  }

  /** It ended: what was found, where, and how old that is. */
  end(event) {
    const outcome = event.situacao ?? "ok";
    const [said, tone, meaning] = OUTCOMES[outcome] ?? [outcome, "neutral", ""];
    const word = this.stage === "analysis" && outcome === "ok" ? "pronta" : said;
    this.#become(tone);
    this.#badges.replaceChildren();
    if (outcome !== "ok" || !event.cache) this.#badges.append(badge(word, tone));
    if (event.cache) this.#badges.append(badge("cache", "info"));
    this.#time.textContent = event.duracao_ms === undefined ? "" : duration(event.duracao_ms);
    this.#note.replaceChildren(...sentences(meaning, provenance(event), attempts(event)));
    if (this.stage === "analysis" && event.dados) this.#note.textContent = digest(event.dados);
    const isRecord = this.stage !== "analysis" && event.dados && typeof event.dados === "object";
    this.#body.replaceChildren(...(isRecord ? [facts(event.dados)] : []));
  }

  /** The lookup ended without it. */
  abandon(word) {
    if (!this.isOpen) return;
    this.#become("neutral");
    this.#badges.replaceChildren(badge(word, "neutral"));
    this.#time.textContent = "";
    this.#note.replaceChildren();
  }

  #become(state) {
    this.node.dataset.state = state;
  }
}

/** An analysis in a line; all of it has a place of its own. */
function digest({ completude, conflitos, achados }) {
  const some = (list, one, more) => (list?.length ? `${list.length} ${list.length === 1 ? one : more}` : `nenhum ${one}`);
  return `Completude ${percent(completude ?? 0)}, ${some(conflitos, "conflito", "conflitos")}, ${some(achados, "achado", "achados")}.`;
}

function sentences(...parts) {
  return parts.filter(Boolean).map((part) => el("span", {}, part));
}

function provenance(event) {
  if (!event.origem || event.tipo === "analysis") return "";
  const title = event.obtido_em ? { title: `obtido em ${new Date(event.obtido_em).toLocaleString("pt-BR")}` } : {};
  return el("span.origin", title, `fonte ${event.origem}`, ` · ${ago(event.idade_s ?? 0)}`);
}

function attempts(event) {
  const tried = (event.tentativas ?? []).map((each) => `${each.provedor} (${reason(each.motivo)})`);
  return tried.length ? `Tentativas sem resposta: ${tried.join(", ")}.` : "";
}
