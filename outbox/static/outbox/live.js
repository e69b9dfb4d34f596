// What is shown is asked for again every two seconds, panel by panel; instants also stand in the reader's own time.
// A panel stays as it is while somebody holds, reads or types in it: nothing moves under a thumb.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const EVERY = 2000, PATIENCE = 10000, STILL = 3000;
  const zone = new Intl.DateTimeFormat([], { dateStyle: "short", timeStyle: "medium" });
  const live = document.querySelector("[data-live]");
  const freshness = document.querySelector("[data-freshness]");
  let touched = 0;

  function localise(root) {
    for (const time of root.querySelectorAll("time:not([data-local])")) {
      time.dataset.local = "";
      time.append(` (here ${zone.format(new Date(time.dateTime))})`);
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
