// What is shown is asked for again every two seconds, panel by panel; instants also stand in the reader's own time.
// A panel stays as it is while somebody holds, reads or types in it: nothing moves under a thumb.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const EVERY = 2000, PATIENCE = 10000, STILL = 3000;
  const two = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const here = new Intl.DateTimeFormat("en-GB", { ...two, timeZoneName: "short" });
  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
  const abroad = new Intl.DateTimeFormat().resolvedOptions().timeZone !== "UTC";
  const live = document.querySelector("[data-live]");
  const freshness = document.querySelector("[data-freshness]");
  let touched = 0;

  function localise(root) {
    for (const time of root.querySelectorAll("time:not([data-local])")) {
      const at = new Date(time.dateTime);
      const other = at.getDate() === at.getUTCDate() ? "" : `${day.format(at)} `;
      time.dataset.local = "";
      if (abroad) time.append(` (${other}${here.format(at)})`);
    }
  }
  const open = panel => [...panel.querySelectorAll("details")].some(each => each.open && !each.hasAttribute("data-came-open"));
  const held = panel => open(panel) || panel.contains(document.activeElement)
    || (panel.matches(":hover") || panel.matches(":active")) && Date.now() - touched < STILL;

  function settle(root) {
    for (const each of root.querySelectorAll("details[open]")) each.dataset.cameOpen = "";
    localise(root);
    if (typeof offerCopying === "function") offerCopying(root);
  }
  function show(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const panel of fresh.querySelectorAll("section[id]")) {
      const shown = document.getElementById(panel.id);
      if (shown && held(shown)) continue;
      if (shown) shown.replaceWith(panel);
      else live.append(panel);
      settle(panel);
    }
  }
  async function look() {
    try {
      const answer = await fetch(live.dataset.live, { credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(answer.status);
      show(await answer.text());
      tell(`Live, ${new Date().toLocaleTimeString()}`, false);
    } catch { tell("Not live: look again", true); }
    setTimeout(look, EVERY);
  }
  function tell(words, stale) {
    if (!freshness) return;
    freshness.textContent = words;
    freshness.classList.toggle("stale", stale);
  }
  localise(document);
  if (!live) return;
  settle(live);
  for (const kind of ["pointerdown", "pointermove", "touchmove"]) {
    live.addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
  }
  setTimeout(look, EVERY);
});
