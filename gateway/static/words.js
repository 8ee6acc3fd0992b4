/** The product's words on the wire, as people read them. */

export const KINDS = {
  cpf: {
    name: "CPF",
    placeholder: "000.000.000-00",
    hint: "11 dígitos, com ou sem máscara.",
    stages: ["telegram", "endereco", "telefone"],
    more: ["cadastro"],
    inputmode: "text",
  },
  cnpj: {
    name: "CNPJ",
    placeholder: "00.000.000/0000-00",
    hint: "14 caracteres, com ou sem máscara; os doze primeiros podem ser letras.",
    stages: ["cadastro", "endereco", "telefone"],
    more: [],
    inputmode: "text",
  },
  cep: {
    name: "CEP",
    placeholder: "00000-000",
    hint: "8 dígitos, com ou sem hífen.",
    stages: ["endereco"],
    more: [],
    inputmode: "numeric",
  },
  telefone: {
    name: "Telefone",
    placeholder: "(00) 90000-0000",
    hint: "DDD e número, fixo ou celular; +55 é opcional.",
    stages: ["telefone"],
    more: [],
    inputmode: "tel",
  },
};

/** A company's address and phones are looked up by what its registration says. */
export function waitsFor(kind, stage) {
  return kind === "cnpj" && stage !== "cadastro" && stage !== "analysis" ? "cadastro" : null;
}

export const STAGES = {
  telegram: { name: "Telegram", about: "dados da pessoa" },
  cadastro: { name: "Cadastro", about: "registro na Receita" },
  endereco: { name: "Endereço", about: "logradouro, município, UF" },
  telefone: { name: "Telefone", about: "números e DDD" },
  analysis: { name: "Análise", about: "perfil, conflitos e achados" },
};

/** Of each outcome: its badge, the badge's tone, and what it means. */
export const OUTCOMES = {
  ok: ["respondida", "good", ""],
  nao_encontrado: ["não encontrado", "neutral", "A fonte respondeu que não existe."],
  nao_confirmado: ["não confirmado", "warn", "A fonte disse que não encontrou, mas pode estar com falha."],
  degradado: ["degradado", "warn", "As fontes falharam; estes são dados guardados, talvez desatualizados."],
  bloqueado: ["bloqueado", "bad", "A fonte recusou a consulta."],
  limitado: ["limite esgotado", "warn", "O limite de consultas da fonte foi atingido."],
  indisponivel: ["indisponível", "bad", "Nenhuma fonte conseguiu responder."],
  nao_configurado: ["não configurado", "neutral", "Nenhuma fonte está configurada para esta etapa."],
  expirado: ["prazo esgotado", "warn", "O prazo da consulta acabou antes da resposta."],
  cancelado: ["cancelada", "neutral", "A consulta foi cancelada."],
};

/** Outcomes that are an answer. */
export const ANSWERED = new Set(["ok", "nao_encontrado", "degradado"]);

/** Why a provider was asked in vain, or its circuit is not closed. */
export const REASONS = {
  failure: "falhou",
  not_found: "não encontrou",
  rejected: "pedido recusado",
  blocked: "consulta bloqueada",
  not_configured: "não configurado",
  credential: "credencial recusada",
  stale_credential: "credencial vencida",
  challenged: "pediu verificação humana",
  not_called: "não chamado",
  outrun: "outra fonte respondeu antes",
  deadline: "prazo esgotado",
  quota: "cota esgotada",
  rate_limited: "limite atingido",
  circuit_open: "circuito aberto",
  asked_before: "pode já ter respondido, e cobrado",
  cut_short: "o prazo acabou antes da resposta",
  outage: "fora do ar",
  server_error: "erro da fonte",
  unavailable: "fora do ar por ora",
  timeout: "tempo esgotado",
  disconnected: "conexão caiu",
  malformed: "resposta ilegível",
  failure_rate: "falhas demais",
  slow_calls: "respostas lentas demais",
  forced: "mantido assim por um operador",
};

/** One of them, or, of a server newer than this page, the word itself. */
export function reason(word) {
  return REASONS[word] ?? String(word).replaceAll("_", " ");
}

/** Of each state of a circuit: its badge, and the badge's tone. */
export const CIRCUITS = {
  FECHADO: ["fechado", "good"],
  MEIO_ABERTO: ["meio aberto", "warn"],
  ABERTO: ["aberto", "bad"],
};

/** Of each way a periodic job's last run went: its badge, and the badge's tone. */
export const JOBS = {
  nunca: ["nunca rodou", "neutral"],
  em_curso: ["em curso", "info"],
  ok: ["ok", "good"],
  erro: ["erro", "bad"],
  interrompida: ["interrompida", "bad"],
};

export const SEVERITIES = {
  alerta: ["alerta", "bad"],
  atencao: ["atenção", "warn"],
  info: ["informação", "info"],
};

/** Field names, in the order in which people look for them. */
export const FIELDS = {
  nome: "Nome",
  razao_social: "Razão social",
  nome_fantasia: "Nome fantasia",
  situacao: "Situação",
  situacao_desde: "Situação desde",
  nascimento: "Nascimento",
  obito: "Óbito",
  sexo: "Sexo",
  usuario: "Usuário",
  abertura: "Abertura",
  natureza_juridica: "Natureza jurídica",
  porte: "Porte",
  capital_social: "Capital social",
  cnae: "Atividade principal",
  cnaes_secundarios: "Outras atividades",
  simples: "Simples Nacional",
  mei: "MEI",
  socios: "Sócios",
  logradouro: "Logradouro",
  numero: "Número",
  complemento: "Complemento",
  bairro: "Bairro",
  municipio: "Município",
  uf: "UF",
  cep: "CEP",
  ibge: "Código IBGE",
  endereco: "Endereço",
  numeros: "Números",
  telefones: "Telefones",
  cidades: "Cidades do DDD",
  email: "E-mail",
  atualizado_em: "Fonte atualizada em",
};

export function fieldName(name) {
  return FIELDS[name] ?? name.replaceAll("_", " ");
}
