/** Values as people in Brazil write them. */

import { FIELDS } from "./words.js";

const COUNT = new Intl.NumberFormat("pt-BR");
const REAIS = new Intl.NumberFormat("pt-BR", { style: "currency", currency: "BRL" });
const TENTHS = new Intl.NumberFormat("pt-BR", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export function count(number) {
  return COUNT.format(number);
}

export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  let rest = number;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${unit ? TENTHS.format(rest) : COUNT.format(rest)} ${units[unit]}`;
}

/** A duration that has ended, to the millisecond. */
export function duration(ms) {
  if (ms < 10_000) return `${COUNT.format(Math.round(ms))} ms`;
  return ms < 60_000 ? `${TENTHS.format(ms / 1000)} s` : minutes(ms);
}

/** A duration under way: a digit that a glance can read. */
export function elapsed(ms) {
  return ms < 60_000 ? `${TENTHS.format(Math.max(0, ms) / 1000)} s` : minutes(ms);
}

function minutes(ms) {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** How long ago, by the one unit that says most. */
export function ago(seconds) {
  if (seconds < 1) return "agora";
  if (seconds < 60) return `há ${Math.round(seconds)} s`;
  if (seconds < 3600) return `há ${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `há ${Math.floor(seconds / 3600)} h`;
  const days = Math.floor(seconds / 86_400);
  return `há ${COUNT.format(days)} ${days === 1 ? "dia" : "dias"}`;
}

/** How long from now. */
export function until(ms) {
  return ms > 500 ? `em ${elapsed(Math.ceil(ms / 1000) * 1000).replace(",0", "")}` : "agora";
}

/** An instant as the time of day, here. */
export function clock(instant) {
  return new Date(instant).toLocaleTimeString("pt-BR");
}

/** An instant as day and time of day, here. */
export function moment(instant) {
  return new Date(instant).toLocaleString("pt-BR", { dateStyle: "short", timeStyle: "medium" });
}

/** A phone number of Brazil, out of E.164 or bare digits. */
function phone(number) {
  const match = /^(?:\+?55)?(\d{2})(\d{4,5})(\d{4})$/.exec(number);
  return match ? `(${match[1]}) ${match[2]}-${match[3]}` : number;
}

function date(text) {
  const match = /^(\d{4})-(\d{2})-(\d{2})/.exec(text);
  return match ? `${match[3]}/${match[2]}/${match[1]}` : text;
}

function activity({ codigo, descricao }) {
  const code = codigo.replace(/^(\d{4})(\d)(\d{2})$/, "$1-$2/$3");
  return descricao ? `${descricao} (${code})` : code;
}

function partner({ nome, qualificacao, desde }) {
  const about = [qualificacao, desde && `desde ${date(desde)}`].filter(Boolean).join(", ");
  return about ? `${nome} (${about})` : nome;
}

function phoneLine(told) {
  if (typeof told === "string") return phone(told);
  const about = [PHONE_TYPES[told.tipo], told.uf].filter(Boolean).join(", ");
  return about ? `${phone(told.numero)} (${about})` : phone(told.numero);
}

/** Of each area code the cities, as far as a glance takes them in. */
function areas(told) {
  return Object.entries(told).map(([code, cities]) => {
    const more = cities.length > CITIES ? ` e mais ${cities.length - CITIES}` : "";
    return `${code}: ${cities.slice(0, CITIES).join(", ")}${more}`;
  });
}

function address(told) {
  const street = [told.logradouro, told.numero, told.complemento].filter(Boolean).join(", ");
  const town = [told.municipio, told.uf].filter(Boolean).join("/");
  return [street, told.bairro, town, told.cep && cep(told.cep)].filter(Boolean).join(" · ");
}

const CITIES = 2; // an area code has dozens
const PHONE_TYPES = { movel: "celular", fixo: "fixo" };
const SEXES = { M: "masculino", F: "feminino" };
const cep = (text) => text.replace(/^(\d{5})(\d{3})$/, "$1-$2");
const each = (format) => (list) => list.map(format);

const FORMATS = {
  nascimento: date,
  obito: date,
  abertura: date,
  situacao_desde: date,
  atualizado_em: date,
  sexo: (text) => SEXES[text] ?? text,
  capital_social: (reais) => REAIS.format(reais),
  cep,
  cnae: activity,
  cnaes_secundarios: each(activity),
  socios: each(partner),
  telefones: each(phoneLine),
  numeros: each(phoneLine),
  cidades: areas,
  endereco: address,
};

/**
 * A field's value for people: one text, or several.
 *
 * @returns {string | string[]}
 */
export function value(name, told) {
  if (typeof told === "boolean") return told ? "sim" : "não";
  try {
    return FORMATS[name]?.(told) ?? plain(told);
  } catch {
    return plain(told); // not of the shape we know: shown as it is rather than not at all
  }
}

function plain(told) {
  if (Array.isArray(told)) return told.map(plain);
  return typeof told === "object" ? JSON.stringify(told) : String(told);
}

/** The fields of a record in the order people look for them; those we do not know come last. */
export function ordered(record) {
  const order = Object.keys(FIELDS);
  const place = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
  return Object.entries(record).sort(([one], [other]) => place(one) - place(other));
}
