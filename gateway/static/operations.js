/** The operators' view: circuits, queues, cache, jobs; polled while somebody looks at it. */

import { accessHeaders } from "./access.js";
import { AgendaCard, CacheCard, CircuitsCard, QueuesCard } from "./operations-cards.js";
import { el } from "./dom.js";
import { clock } from "./format.js";
import { ask } from "./problem.js";

const EVERY_MS = 2000;
const PATIENCE_MS = 5000;

export class Operations {
  #isShown = false;
  #timer = null;
  #cards = [new CircuitsCard(), new CacheCard(), new QueuesCard(), new AgendaCard()];
  #updated = el("p.hint", {}, "");

  constructor(root) {
    root.append(
      el("div.operations-head", {}, el("h1", {}, "Operação"), this.#updated),
      el("div.cards", {}, ...this.#cards.map((card) => card.node)),
    );
    document.addEventListener("visibilitychange", () => this.#poll());
  }

  show(isShown) {
    this.#isShown = isShown;
    this.#poll();
  }

  /** Ask now, and again a while after the answers: a slow server is not asked faster. */
  async #poll() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#isShown || document.hidden) return;
    const timer = (this.#timer = setTimeout(() => {}, PATIENCE_MS));
    await Promise.all(this.#cards.map((card) => this.#refresh(card)));
    if (this.#timer !== timer) return; // hidden, or asked anew, meanwhile
    this.#updated.textContent = `Atualizado às ${clock(Date.now())}, a cada ${EVERY_MS / 1000} s enquanto visível.`;
    this.#timer = setTimeout(() => this.#poll(), EVERY_MS);
  }

  async #refresh(card) {
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const response = await ask(card.address, { headers: accessHeaders(), signal });
      card.update(await response.json());
    } catch (error) {
      card.fail(error.detail ?? "sem resposta a tempo");
    }
  }
}
