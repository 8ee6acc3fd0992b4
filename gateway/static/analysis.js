/** The result of the analysis: one line, how complete, the profile with its sources, what to notice. */

import { badge, el } from "./dom.js";
import { shown } from "./facts.js";
import { ago, ordered, percent } from "./format.js";
import { fieldName, OUTCOMES, SEVERITIES, STAGES } from "./words.js";

/** @param {object} told the `dados` of an `analysis` event */
export function analysisView(told) {
  return el(
    "section.card.analysis",
    { "aria-labelledby": "analysis-title" },
    el("h2", { id: "analysis-title" }, "Análise"),
    el("p.summary", {}, told.resumo),
    completeness(told.completude ?? 0),
    findings(told.achados ?? []),
    conflicts(told.conflitos ?? []),
    missing(told.faltando ?? []),
    profile(told.perfil ?? {}),
  );
}

function completeness(share) {
  return el(
    "div.completeness",
    {},
    el("span", { id: "completeness-name" }, "Completude"),
    el("meter", { "aria-labelledby": "completeness-name", min: 0, max: 1, low: 0.5, high: 0.8, optimum: 1, value: share }),
    el("strong", {}, percent(share)),
  );
}

function findings(list) {
  if (!list.length) return null;
  const items = list.map((each) => {
    const [word, tone] = SEVERITIES[each.gravidade] ?? [each.gravidade, "neutral"];
    return el("li", {}, badge(word, tone), el("span", {}, each.mensagem));
  });
  return part("Achados", el("ul.notices", {}, ...items));
}

function conflicts(list) {
  if (!list.length) return null;
  const items = list.map((each) =>
    el(
      "li",
      {},
      el("strong", {}, fieldName(each.campo)),
      el(
        "ul.versions",
        {},
        ...each.valores.map((version, place) =>
          el("li", {}, shown(each.campo, version.valor), " ", source(version), place ? null : badge("adotado", "good")),
        ),
      ),
    ),
  );
  return part("Conflitos", el("ul.conflicts", {}, ...items));
}

function missing(list) {
  if (!list.length) return null;
  const items = list.map((each) => {
    const [word, tone] = OUTCOMES[each.situacao] ?? [each.situacao, "neutral"];
    return el("li", {}, badge(word, tone), el("span", {}, STAGES[each.etapa]?.name ?? each.etapa));
  });
  return part("Sem resposta", el("ul.notices", {}, ...items));
}

function profile(fields) {
  const entries = ordered(fields);
  if (!entries.length) return null;
  const rows = entries.map(([name, told]) =>
    el(
      "div",
      {},
      el("dt", {}, fieldName(name)),
      el("dd", {}, shown(name, told.valor)),
      el("dd.source", {}, source(told)),
    ),
  );
  return part("Perfil", el("dl.profile", {}, ...rows));
}

function source(told) {
  const stage = STAGES[told.etapa]?.name ?? told.etapa;
  const age = told.idade_s ? ` · ${ago(told.idade_s)}` : "";
  return el("span.source", {}, `${stage} · ${told.origem ?? "sem fonte"}${age}`);
}

function part(title, content) {
  return el("div.part", {}, el("h3", {}, title), content);
}
