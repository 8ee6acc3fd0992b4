/** The API key, where the server asks for one: kept in this tab alone, and never in a cookie. */

import { byId } from "./dom.js";

const KEY = "consulta.api-key";

/** What requests to the gateway carry. */
export function access() {
  const apiKey = sessionStorage.getItem(KEY) ?? "";
  return apiKey ? { apiKey } : {};
}

/** The same, as headers. */
export function accessHeaders() {
  const { apiKey } = access();
  return apiKey ? { Authorization: `Bearer ${apiKey}` } : {};
}

export function watchKeyField() {
  const field = byId("api-key");
  field.value = access().apiKey ?? "";
  field.addEventListener("input", () => {
    if (field.value) sessionStorage.setItem(KEY, field.value);
    else sessionStorage.removeItem(KEY);
  });
}
