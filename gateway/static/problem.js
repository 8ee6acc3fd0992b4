/** An answer that is not the one asked for: RFC 9457, as the gateway sends it. */
export class Problem extends Error {
  /**
   * @param {number} status HTTP status; 0 where there was no answer at all
   * @param {string} detail what to do about it, for people
   * @param {{title?: string, field?: string, retryAfterMs?: number}} [more]
   *   `field` is the field of the body that has to be mended (`campo`)
   */
  constructor(status, detail, { title = "", field = "", retryAfterMs = 0 } = {}) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.detail = detail;
    this.title = title;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same request may well succeed a little later. */
  get isPassing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** @param {Response} response one that is not `ok` */
async function problemOf(response) {
  const told = await response.json().catch(() => ({}));
  return new Problem(response.status, told.detail ?? `o servidor respondeu ${response.status}`, {
    title: told.title,
    field: told.campo,
    retryAfterMs: 1000 * (Number(response.headers.get("Retry-After")) || 0),
  });
}

/**
 * `fetch`, with every failure but an abort as a Problem.
 *
 * @throws {Problem} the server cannot be reached, or refuses
 */
export async function ask(address, init = {}) {
  let response;
  try {
    response = await fetch(address, { cache: "no-store", ...init });
  } catch (error) {
    if (init.signal?.aborted) throw init.signal.reason;
    throw new Problem(0, "o servidor não responde; confira a conexão e tente de novo");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}
