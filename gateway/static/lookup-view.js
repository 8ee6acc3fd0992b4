/** One lookup on the page: rows, clock, connection, what was said, and the list of its events. */

import { analysisView } from "./analysis.js";
import { byId, el } from "./dom.js";
import { clock, duration, elapsed } from "./format.js";
import { STATES } from "./lookup-stream.js";
import { StageRow } from "./stage-row.js";
import { ANSWERED, KINDS, OUTCOMES, STAGES, waitsFor } from "./words.js";

const TICK_MS = 100;

export class LookupView {
  #task = "";
  #rows = new Map();
  #startedAt = null;
  #firstAt = null;
  #lastAt = null;
  #replayed = false;
  #ticker = null;
  #events = 0;

  /** A lookup was asked for just now: its rows stand before its first event. */
  begin(kind, stages) {
    this.clear();
    this.#startedAt = performance.now();
    this.#layOut(kind, stages);
    this.#run();
    this.#say(`Consultando ${KINDS[kind].name}: ${stages.length} ${stages.length === 1 ? "etapa" : "etapas"}.`);
  }

  /** A lookup of the past, or of another page, is to be shown from its first event. */
  replay() {
    this.clear();
    this.#replayed = true;
    byId("empty").hidden = true;
    this.#say("Buscando a consulta…");
  }

  /** No lookup. */
  clear() {
    this.#stop();
    this.#rows.clear();
    this.#startedAt = this.#firstAt = this.#lastAt = null;
    this.#replayed = false;
    this.#events = 0;
    for (const id of ["stages", "analysis", "log", "failure", "status", "total", "task"]) byId(id).replaceChildren();
    for (const id of ["connection", "cancel", "events"]) byId(id).hidden = true;
    byId("empty").hidden = false;
    byId("lookup-title").textContent = "Consulta";
  }

  /** All is to be told anew, from the first event. */
  reset() {
    const task = this.#task;
    this.replay();
    this.onTask(task);
    this.#say("O servidor recomeçou a contar os eventos desta consulta.");
  }

  onTask(taskId) {
    this.#task = taskId;
    byId("task").replaceChildren(el("span", {}, "task_id "), el("code", {}, taskId));
    byId("cancel").hidden = false;
  }

  onState(state, { waitMs } = {}) {
    const pill = byId("connection");
    pill.hidden = false;
    pill.dataset.state = state.replaceAll(" ", "-");
    pill.textContent = state;
    if (state === STATES.reconnecting) {
      this.#say(`Conexão perdida; tento de novo em ${elapsed(waitMs)}.`);
      this.#note("conexão perdida");
    } else if (state === STATES.resumed) {
      this.#say("Conexão retomada; nada se perdeu.");
      this.#note("conexão retomada");
    }
  }

  onEvent(event) {
    this.#firstAt ??= this.#lastAt = Date.parse(event.timestamp);
    this.#list(event);
    if (event.tipo === "iniciado") this.#onStarted(event);
    else if (event.tipo === "aguardando") this.#onWaiting(event);
    else if (event.tipo === "completo") this.#onEnd(event, "não consultada");
    else if (event.tipo === "error") this.#onError(event);
    else this.#onStage(event);
  }

  /** The lookup cannot be shown: it was refused, or nobody answers. */
  fail(problem) {
    this.#stop();
    for (const row of this.#rows.values()) row.abandon("não consultada");
    byId("cancel").hidden = true;
    byId("connection").hidden = true;
    byId("status").textContent = "";
    byId("failure").textContent = [problem.title, problem.detail].filter(Boolean).join(": ");
  }

  /** Where the form fills the screen, an accepted lookup comes into sight; focus stays. */
  reveal() {
    const result = byId("lookup-title").closest("section");
    if (result.getBoundingClientRect().top > innerHeight / 2) result.scrollIntoView();
  }

  say(text) {
    this.#say(text);
  }

  #onStarted({ dados, timestamp }) {
    // On a replay the clock goes by the server's first instant; clocks may differ, time runs forward.
    this.#startedAt ??= performance.now() - Math.max(0, Date.now() - Date.parse(timestamp));
    const { tipo, etapas } = dados;
    if ([...this.#rows.keys()].join() !== [...etapas, "analysis"].join()) this.#layOut(tipo, etapas);
    for (const row of this.#rows.values()) {
      if (!row.waitsFor && row.stage !== "analysis") row.start(this.#startedAt);
    }
    this.#run();
  }

  #onWaiting({ dados }) {
    const row = this.#rows.get(dados.etapa);
    row?.limit(dados.retry_at);
    if (row) this.#say(`${STAGES[row.stage].name}: aguarda o limite de consultas até ${clock(dados.retry_at)}.`);
  }

  #onStage(event) {
    const row = this.#rows.get(event.tipo);
    if (!row) return;
    // The analyzer does not say how long it took: since the last stage's end, then.
    const spent = Date.parse(event.timestamp) - this.#lastAt;
    row.end(event.tipo === "analysis" ? { duracao_ms: Math.max(0, spent), ...event } : event);
    this.#lastAt = Date.parse(event.timestamp);
    const now = performance.now();
    const rows = [...this.#rows.values()];
    for (const other of rows) if (other.waitsFor === event.tipo) other.start(now);
    const stages = rows.filter((each) => each.stage !== "analysis");
    const ended = stages.filter((each) => !each.isOpen).length;
    if (ended === stages.length) this.#rows.get("analysis").start(now);
    if (event.tipo === "analysis") {
      if (event.dados) byId("analysis").replaceChildren(analysisView(event.dados));
    } else {
      const word = OUTCOMES[event.situacao]?.[0] ?? event.situacao;
      const what = event.situacao === "ok" && event.cache ? "respondida pelo cache" : word;
      this.#say(`${STAGES[event.tipo].name}: ${what} (${ended} de ${stages.length}).`);
    }
  }

  #onError(event) {
    const isCancelled = event.situacao === "cancelado";
    this.#onEnd(event, isCancelled ? "cancelada" : "não consultada");
    if (isCancelled) {
      this.#say("Consulta cancelada. Nenhuma outra fonte será consultada.");
      return;
    }
    this.#say("");
    byId("failure").textContent = `A consulta falhou: ${event.dados?.mensagem ?? "sem motivo informado"}`;
  }

  #onEnd(event, word) {
    const spent = this.#replayed ? Date.parse(event.timestamp) - this.#firstAt : performance.now() - this.#startedAt;
    this.#stop();
    byId("total").textContent = duration(spent);
    byId("cancel").hidden = true;
    for (const row of this.#rows.values()) row.abandon(word);
    const stages = Object.values(event.dados?.etapas ?? {});
    const answered = stages.filter((stage) => ANSWERED.has(stage.situacao)).length;
    const source = event.cache ? ", tudo do cache" : "";
    this.#say(`Consulta completa em ${duration(spent)}: ${answered} de ${stages.length} etapas respondidas${source}.`);
  }

  #layOut(kind, stages) {
    this.#rows = new Map(
      [...stages, "analysis"].map((stage) => {
        const first = waitsFor(kind, stage);
        return [stage, new StageRow(stage, stages.includes(first) ? first : null)];
      }),
    );
    byId("lookup-title").textContent = `Consulta de ${KINDS[kind]?.name ?? kind}`;
    byId("stages").replaceChildren(...[...this.#rows.values()].map((row) => row.node));
    byId("empty").hidden = true;
  }

  #list(event) {
    this.#events += 1;
    byId("events").hidden = false;
    byId("event-count").textContent = `${this.#events}`;
    const more = [event.situacao, event.origem, event.cache && "cache"].filter(Boolean).join(" · ");
    byId("log").append(
      el(
        "div.log-line",
        { "data-seq": event.seq },
        el("span.log-seq", {}, event.seq),
        el("time", { datetime: event.timestamp }, clock(event.timestamp)),
        el("code", {}, event.tipo),
        el("span", {}, more),
      ),
    );
  }

  #note(text) {
    byId("log").append(el("div.log-line.log-note", {}, text));
  }

  #say(text) {
    byId("status").textContent = text;
  }

  #run() {
    this.#ticker ??= setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  #tick() {
    const now = performance.now();
    byId("total").textContent = elapsed(now - this.#startedAt);
    for (const row of this.#rows.values()) row.tick(now);
  }

  #stop() {
    clearInterval(this.#ticker);
    this.#ticker = null;
  }
}
