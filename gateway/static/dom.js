/** The page's nodes, without markup in strings: what providers say is only ever text. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element.
 *
 * @param {string} tag a tag, with classes after dots: "p.hint"
 * @param {Record<string, any>} [attributes] absent where null or false
 * @param {...(Node | string | number | null | undefined)} children
 */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag.split(".")[0]), tag, attributes, children);
}

/** The same, of an SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag.split(".")[0]), tag, attributes, children);
}

function filled(node, tag, attributes, children) {
  const classes = tag.split(".").slice(1);
  if (classes.length) node.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** The element of this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A badge: its words say it, its tone only underlines it. */
export function badge(text, tone) {
  return el(`span.badge.${tone}`, {}, text);
}
