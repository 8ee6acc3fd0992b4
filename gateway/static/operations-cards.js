/** The cards of the operators' view: each one answer of the gateway, as people read it. */

import { badge, el } from "./dom.js";
import { bytes, clock, count, moment, percent, until, value } from "./format.js";
import { Series } from "./series.js";
import { CIRCUITS, JOBS, reason, STAGES } from "./words.js";

/** A card that is there from the start, and says "indisponível" where there is no answer. */
class Card {
  #badge = el("span.card-badge");
  #body = el("div.card-body", {}, el("p.hint", {}, "Carregando…"));

  constructor(id, title, address) {
    this.address = address;
    this.node = el(
      `section.card.${id}`,
      { "aria-labelledby": `${id}-title` },
      el("div.card-head", {}, el("h2", { id: `${id}-title` }, title), this.#badge),
      this.#body,
    );
  }

  update(answer) {
    this.#badge.replaceChildren();
    this.#body.replaceChildren(...this.show(answer).filter(Boolean));
  }

  fail(detail) {
    this.#badge.replaceChildren(badge("indisponível", "neutral"));
    this.#body.replaceChildren(el("p.hint", {}, detail));
  }
}

export class CircuitsCard extends Card {
  constructor() {
    super("circuits", "Circuitos", "/api/circuitos");
  }

  show(circuits) {
    const rows = Object.entries(circuits).map(([name, circuit]) => {
      const [word, tone] = CIRCUITS[circuit.estado] ?? [circuit.estado, "neutral"];
      const reopens = circuit.reabre_em ? `testa ${relative(circuit.reabre_em)}` : "";
      const why = [circuit.motivo && reason(circuit.motivo), reopens].filter(Boolean).join("; ");
      return [el("code", {}, name), badge(word, tone), count(circuit.falhas), count(circuit.sucesso), why];
    });
    return [rows.length ? table("Circuitos por fonte", ["Fonte", "Estado", "#Falhas", "#Sucessos", "Motivo"], rows) : none("Nenhum circuito conhecido ainda.")];
  }
}

export class QueuesCard extends Card {
  #depth = new Series();

  constructor() {
    super("queues", "Filas", "/api/filas");
  }

  show(answer) {
    const queues = Object.entries(answer.filas ?? {});
    const waiting = queues.reduce((sum, [, queue]) => sum + queue.prontas + queue.esperando, 0);
    this.#depth.add(waiting);
    const rows = queues.map(([name, queue]) => [
      queueName(name),
      count(queue.prontas),
      count(queue.ativas),
      count(queue.esperando),
      queue.idade_s === null || queue.idade_s === undefined ? "—" : `${count(Math.round(queue.idade_s))} s`,
      queue.limite === "off" ? "sem limite" : (queue.limite ?? "—"),
      queue.permissoes === null || queue.permissoes === undefined ? "—" : count(queue.permissoes),
      queue.mortas ? badge(count(queue.mortas), "bad") : "0",
    ]);
    return [
      numbers([
        ["Ativas", count(answer.tasks_ativas ?? 0)],
        ["Reservadas", count(answer.tasks_reservadas ?? 0)],
        ["Agendadas", count(answer.tasks_agendadas ?? 0)],
        ["Processos", count(answer.workers)],
      ]),
      el("h3", {}, "À espera"),
      this.#depth.curve("Mensagens à espera em todas as filas", count),
      rows.length
        ? table("Filas", ["Fila", "#Prontas", "#Ativas", "#Esperando", "#Mais antiga", "Limite", "#Permissões", "#Mortas"], rows)
        : none("Nenhuma fila."),
    ];
  }
}

export class CacheCard extends Card {
  #rate = new Series();
  #before = null;

  constructor() {
    super("cache", "Cache", "/api/cache/estatisticas");
  }

  show({ total_keys: keys, hits, misses, memory_used: memory }) {
    const asked = hits + misses;
    // Between two polls where anybody asked; since the start it would hardly move.
    const fresh = this.#before === null ? 0 : asked - this.#before.asked;
    this.#rate.add(asked ? (fresh > 0 ? (hits - this.#before.hits) / fresh : this.#last ?? hits / asked) : null);
    if (fresh > 0) this.#last = (hits - this.#before.hits) / fresh;
    this.#before = { asked, hits };
    return [
      numbers([
        ["Taxa de acerto", asked ? percent(hits / asked) : "—"],
        ["Acertos", count(hits)],
        ["Falhas", count(misses)],
        ["Chaves", count(keys)],
        ["Memória", bytes(memory)],
      ]),
      el("h3", {}, "Taxa de acerto recente"),
      this.#rate.curve("Taxa de acerto do cache", percent, 1),
    ];
  }

  #last = null;
}

export class AgendaCard extends Card {
  constructor() {
    super("agenda", "Tarefas periódicas", "/api/agenda");
  }

  show({ tarefas }) {
    const rows = tarefas.map((job) => {
      const [word, tone] = JOBS[job.situacao] ?? [job.situacao, "neutral"];
      return [
        el("code", {}, job.nome),
        el("code", {}, job.agenda),
        job.ultima ? moment(job.ultima) : "—",
        badge(word, tone),
        count(job.perdidas),
        moment(job.proxima),
        said(job.resultado),
      ];
    });
    const heads = ["Tarefa", "Agenda", "Última", "Situação", "#Perdidas", "Próxima", "Resultado"];
    return [rows.length ? table("Tarefas periódicas", heads, rows) : none("Nenhuma tarefa.")];
  }
}

const LONGEST = 160; // the check of everything there is would fill the page

/** What a job had to say, which is anything JSON can hold. */
function said(result) {
  if (result === null || result === undefined) return "—";
  const entries = typeof result === "object" && !Array.isArray(result) ? Object.entries(result) : [["", result]];
  const text = entries.map(([name, told]) => (name ? `${name}: ` : "") + value(name, told)).join("; ");
  return text.length > LONGEST ? el("span", { title: text }, `${text.slice(0, LONGEST)}…`) : text;
}

/** A table that scrolls within itself where the page is narrow. A `#` marks a column of numbers. */
function table(name, heads, rows) {
  const tone = heads.map((head) => (head.startsWith("#") ? "number" : "text"));
  const cell = (content, place) => el(`${place ? "td" : "th"}.${tone[place]}`, place ? {} : { scope: "row" }, content);
  return el(
    "div.table",
    { role: "region", tabindex: 0, "aria-label": `${name}, tabela` },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, ...heads.map((head, place) => el(`th.${tone[place]}`, { scope: "col" }, head.replace("#", ""))))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cell)))),
    ),
  );
}

function numbers(entries) {
  return el("dl.numbers", {}, ...entries.map(([name, shown]) => el("div", {}, el("dt", {}, name), el("dd", {}, shown))));
}

function none(text) {
  return el("p.hint", {}, text);
}

function queueName(name) {
  const stage = STAGES[name.replace("stage.", "")];
  return stage ? el("span", {}, stage.name, " ", el("code", {}, name)) : el("code", {}, name);
}

function relative(instant) {
  const at = Date.parse(instant);
  return `${until(at - Date.now())} (${clock(at)})`;
}
