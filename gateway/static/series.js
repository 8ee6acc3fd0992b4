/** Numbers over the last minutes, kept in the page, and their curve. */

import { el, svg } from "./dom.js";

const WINDOW_MS = 5 * 60_000;
const [WIDTH, HEIGHT] = [300, 64];

export class Series {
  #points = []; // {at, value}; value null where there is nothing to measure

  add(value, at = Date.now()) {
    this.#points.push({ at, value });
    while (this.#points[0].at < at - WINDOW_MS) this.#points.shift();
  }

  /**
   * @param {string} name what is measured, for those who do not see the curve
   * @param {(value: number) => string} format
   * @param {number} [top] the value at the upper edge; without it, the greatest one
   */
  curve(name, format, top) {
    const known = this.#points.filter((point) => point.value !== null);
    if (known.length < 2) return el("p.hint.curve-empty", {}, "A curva aparece com as próximas medidas.");
    const values = known.map((point) => point.value);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const ceiling = top ?? Math.max(1, most);
    const last = this.#points.at(-1).at;
    const runs = this.#runs((at) => WIDTH * (1 - (last - at) / WINDOW_MS), (value) => (HEIGHT - 2) * (1 - value / ceiling) + 1);
    const label = `${name}, últimos 5 minutos: de ${format(least)} a ${format(most)}, agora ${format(values.at(-1))}`;
    return el(
      "figure.curve",
      {},
      svg(
        "svg",
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
        svg("path.curve-grid", { d: `M0 1H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 1}H${WIDTH}` }),
        ...runs.map((run) => svg("path.curve-area", { d: `M${run[0].x} ${HEIGHT}L${join(run)}L${run.at(-1).x} ${HEIGHT}Z` })),
        ...runs.map((run) => svg("path.curve-line", { d: `M${join(run)}` })),
      ),
      el("figcaption", {}, el("span", {}, "há 5 min"), el("span", {}, `máx. ${format(most)}`), el("span", {}, "agora")),
    );
  }

  /** The stretches without a gap, in the curve's coordinates. */
  #runs(xOf, yOf) {
    const runs = [[]];
    for (const { at, value } of this.#points) {
      if (value === null) runs.push([]);
      else runs.at(-1).push({ x: xOf(at).toFixed(1), y: yOf(value).toFixed(1) });
    }
    return runs.filter((run) => run.length > 1);
  }
}

function join(run) {
  return run.map(({ x, y }) => `${x} ${y}`).join("L");
}
