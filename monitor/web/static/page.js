// The page works without this. It shows times in the reader's zone, and renews the content when something changed.
"use strict";

const content = document.getElementById("content");
const stream = document.getElementById("stream");
const POLL = 15000; // ages grow also when nothing happens
const SOON = 300; // events that come together are one renewal
let source = null;
let renewal = null;
let failed = false;
let lost = false;

function pad(number) {
  return String(number).padStart(2, "0");
}

function local(at, seconds) {
  const offset = -at.getTimezoneOffset();
  const zone = (offset < 0 ? "-" : "+") + pad(Math.floor(Math.abs(offset) / 60)) + ":" + pad(Math.abs(offset) % 60);
  const day = at.getFullYear() + "-" + pad(at.getMonth() + 1) + "-" + pad(at.getDate());
  return `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}${seconds ? ":" + pad(at.getSeconds()) : ""} ${zone}`;
}

function showTimes() {
  for (const time of content.querySelectorAll("time[data-local]")) {
    time.textContent = local(new Date(time.dateTime), time.parentElement.classList.contains("as-of"));
  }
}

function say() {
  const asOf = content.querySelector("[data-as-of]");
  if (!asOf) return;
  const age = Math.max(0, Math.round((Date.now() - new Date(asOf.dataset.asOf)) / 1000));
  const live = source && source.readyState === EventSource.OPEN;
  const how = live ? "Live." : lost ? "The live stream is gone; asking every 15 s instead." : "Connecting.";
  const words = failed ? `${how} The last try to renew this failed.` : how;
  stream.textContent = `${words} Shown as of ${age} s ago.`;
}

function busy() {
  const active = document.activeElement;
  if (active && active.matches("input, select") && content.contains(active)) return true;
  return [...content.querySelectorAll("input:not([type=hidden])")].some((one) => one.value !== one.defaultValue);
}

async function renew() {
  renewal = null;
  if (document.hidden || busy()) return;
  const address = new URL(location.href);
  address.searchParams.set("fragment", "1");
  address.hash = "";
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.reload();
    if (!answer.ok) throw new Error(answer.status);
    const text = await answer.text();
    failed = false;
    if (busy()) return;
    place(text, decodeURIComponent(answer.headers.get("X-Title") || ""));
  } catch {
    failed = true;
  }
  say();
}

function place(text, title) {
  const before = states();
  const focused = document.activeElement && content.contains(document.activeElement) ? path(document.activeElement) : null;
  content.innerHTML = text;
  showTimes();
  if (title) document.title = title;
  for (const [name, state] of states()) {
    if (before.has(name) && before.get(name).text !== state.text) state.row.classList.add("changed");
  }
  const again = focused && content.querySelector(focused);
  if (again) again.focus({ preventScroll: true });
}

function path(element) {
  const href = element.getAttribute("href");
  return href ? `a[href="${CSS.escape(href)}"]` : element.id ? `#${CSS.escape(element.id)}` : null;
}

function states() {
  return new Map(
    [...content.querySelectorAll("table.targets tbody tr")].map((row) => [
      row.querySelector("th").textContent,
      { row, text: row.querySelector(".state").textContent },
    ])
  );
}

function soon() {
  if (renewal === null) renewal = setTimeout(renew, SOON);
}

function listen() {
  if (source || document.hidden) return;
  source = new EventSource("api/v1/events");
  for (const name of ["transition", "event", "reset"]) source.addEventListener(name, soon);
  source.onopen = () => { soon(); say(); };
  source.onerror = () => { lost = true; say(); };
}

function leave() {
  if (source) source.close();
  source = null;
}

showTimes();
if (content.hasAttribute("data-live")) {
  // hidden tabs hold no connection: a browser has six for a host
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : listen()));
  addEventListener("pagehide", leave);
  setInterval(soon, POLL);
  setInterval(() => { if (source && source.readyState === EventSource.CLOSED) { leave(); listen(); } }, POLL);
  setInterval(say, 1000);
  listen();
}
