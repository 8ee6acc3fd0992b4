/**
 * Lookups over HTTP, streamed: ask, follow, cancel.
 *
 * What `EventSource` cannot do: the lookup is a POST (an identifier never stands in a URL), headers
 * can be set, and a refused request says why. A lost connection is taken up again where it broke,
 * and every event is handed on exactly once, in order.
 *
 *     import { lookUp } from "https://consulta.example/static/lookup-stream.js";
 *
 *     const last = await lookUp({ tipo: "cep", identificador: "01001-000" }, {
 *       base: "https://consulta.example",
 *       onEvent: (event) => console.log(event.seq, event.tipo, event.dados),
 *     });
 *
 * @typedef {object} Options
 * @property {string} [base] where the gateway is; without it, where this page is
 * @property {string} [apiKey] sent as `Authorization: Bearer …`
 * @property {string} [ticket] sent as `?ticket=…` when a lookup is followed
 * @property {Record<string, string>} [headers] sent with every request
 * @property {AbortSignal} [signal] ends the streaming; the lookup itself goes on (see `cancel`)
 * @property {(taskId: string) => void} [onTask] gets the lookup's id, before its first event
 * @property {(event: object) => void} [onEvent] gets each event of the lookup, once, by `seq`
 * @property {(state: string, about: {attempt?: number, waitMs?: number}) => void} [onState]
 *   gets each change of the connection, one of `STATES`
 * @property {(snapshot: {status: string, eventos: number}) => void} [onReset] the server no longer
 *   knows where we were: forget all events; they are handed on anew
 * @property {number} [silenceMs] no byte for so long is a lost connection; the server's heartbeat
 *   is every 10 s
 */

import { EventStreamParser } from "./event-stream.js";
import { ask, Problem } from "./problem.js";

export { EventStreamParser, Problem };

/** What becomes of the connection, in words for people. */
export const STATES = Object.freeze({
  connecting: "conectando",
  live: "ao vivo",
  reconnecting: "reconectando",
  resumed: "retomado",
  ended: "encerrado",
});

const TERMINAL = new Set(["completo", "error"]);
const RETRY_MS = 1000;
const MAX_WAIT_MS = 30_000;
const SILENCE_MS = 30_000;

/**
 * Ask for a lookup and stream it to its end.
 *
 * @param {object} body `tipo`, `identificador`, … as POST /api/consulta-stream takes it
 * @param {Options} [options]
 * @returns {Promise<object>} the terminal event, `completo` or `error`
 * @throws {Problem} the lookup was refused, or nobody answered: `field` and `detail` say what to mend
 */
export async function lookUp(body, options = {}) {
  const session = new Session(options);
  session.tell(STATES.connecting);
  const response = await ask(new URL("/api/consulta-stream", baseOf(options)), {
    method: "POST",
    headers: { ...session.headers, "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: options.signal,
  });
  session.begin(response.headers.get("Location")?.split("/").at(-2));
  session.tell(STATES.live);
  await session.read(response);
  return session.toTheEnd();
}

/**
 * Stream a lookup that somebody asked for, from its start or after the last event seen.
 *
 * @param {string} taskId
 * @param {Options & {lastSeq?: number}} [options]
 * @returns {Promise<object | null>} the terminal event; null if it was already seen
 * @throws {Problem} there is no such lookup, or it is not yours
 */
export async function follow(taskId, { lastSeq = 0, ...options } = {}) {
  const session = new Session(options);
  session.begin(taskId);
  session.seen = lastSeq;
  session.tell(STATES.connecting);
  await session.connect(STATES.live);
  return session.toTheEnd();
}

/**
 * End a lookup: no further provider is asked for it.
 *
 * @param {string} taskId
 * @param {Options} [options]
 * @throws {Problem} 409 where it has ended already
 */
export async function cancel(taskId, options = {}) {
  const { headers } = new Session(options);
  await ask(urlOf(taskId, options), { method: "DELETE", headers, signal: options.signal });
}

/** One lookup on its way to its end, over as many connections as it takes. */
class Session {
  address = "";
  seen = 0;
  #options;
  #retryMs = RETRY_MS;
  #attempt = 0;
  #last = null;
  #ended = false;

  constructor(options) {
    this.#options = options;
  }

  get headers() {
    const { headers, apiKey } = this.#options;
    return { ...headers, ...(apiKey && { Authorization: `Bearer ${apiKey}` }) };
  }

  /** From here on the lookup can be followed; the id comes with the headers or the first event. */
  begin(taskId) {
    if (!taskId || this.address) return;
    this.address = `${urlOf(taskId, this.#options)}/eventos`;
    if (this.#options.ticket) this.address += `?ticket=${encodeURIComponent(this.#options.ticket)}`;
    this.#options.onTask?.(taskId);
  }

  tell(state, about = {}) {
    this.#options.onState?.(state, about);
  }

  /** Reconnect until the terminal event has come. */
  async toTheEnd() {
    let after = 0;
    while (!this.#ended) {
      if (!this.address) throw new Problem(0, "a conexão caiu antes da resposta; tente de novo");
      const waitMs = Math.max(after, this.#backoff());
      this.tell(STATES.reconnecting, { attempt: this.#attempt, waitMs });
      await pause(waitMs, this.#options.signal);
      after = await this.connect(STATES.resumed);
    }
    this.tell(STATES.ended);
    return this.#last;
  }

  /** One connection, to its end. Returns for how long the server wants to be left alone. */
  async connect(state) {
    const headers = { ...this.headers, Accept: "text/event-stream" };
    if (this.seen) headers["Last-Event-ID"] = String(this.seen);
    try {
      const response = await ask(this.address, { headers, signal: this.#options.signal });
      if (response.status === 204) {
        this.#ended = true;
      } else {
        this.tell(state);
        await this.read(response);
      }
      return 0;
    } catch (error) {
      if (!(error instanceof Problem && error.isPassing)) throw error;
      return error.retryAfterMs;
    }
  }

  /** Hand on the events of a response, until the last one or until the connection is lost. */
  async read(response) {
    const { signal, silenceMs = SILENCE_MS } = this.#options;
    const parser = new EventStreamParser(
      (frame) => this.#onFrame(frame),
      (ms) => (this.#retryMs = ms),
    );
    const reader = response.body.getReader();
    while (!this.#ended) {
      const timer = setTimeout(() => reader.cancel(), silenceMs);
      // What a broken connection throws differs by browser, and comes to the same.
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      clearTimeout(timer);
      if (signal?.aborted) throw signal.reason;
      if (done) break;
      parser.feed(value);
    }
    reader.cancel().catch(() => {});
  }

  #onFrame(frame) {
    const event = JSON.parse(frame.data);
    if (frame.type === "reset") {
      this.seen = 0;
      this.#options.onReset?.(event.dados);
    } else {
      this.#emit(event);
    }
  }

  #emit(event) {
    if (this.#ended || event.seq <= this.seen) return;
    this.begin(event.task_id);
    this.seen = event.seq;
    this.#attempt = 0;
    this.#ended = TERMINAL.has(event.tipo);
    if (this.#ended) this.#last = event;
    this.#options.onEvent?.(event);
  }

  /** Doubling, and spread, so that the clients of a lost gateway do not all come at once. */
  #backoff() {
    const longest = Math.min(MAX_WAIT_MS, this.#retryMs * 2 ** this.#attempt);
    this.#attempt = Math.min(this.#attempt + 1, 10);
    return longest * (0.5 + Math.random() / 2);
  }
}

function baseOf(options) {
  return options.base ?? globalThis.location.href;
}

function urlOf(taskId, options) {
  return new URL(`/api/consultas/${encodeURIComponent(taskId)}`, baseOf(options)).href;
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}
