// Keys for reviewers. A key leads to what carries it (data-key) and decides nothing: links are followed, fields and
// buttons are focused. j and k go through the rows of a list. Quiet while somebody types, and for whoever wants none.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const SWITCH = "ao-keys";
  const off = () => localStorage.getItem(SWITCH) === "off";
  const typing = at => at instanceof Element && at.closest("input:not([type=checkbox]):not([type=radio]), select, textarea");

  function step(by) {
    const rows = [...document.querySelectorAll("[data-row]")];
    if (!rows.length) return false;
    const now = rows.findIndex(row => row.contains(document.activeElement));
    const next = now < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(now + by, 0), rows.length - 1);
    rows[next].querySelector("a").focus();
    return true;
  }
  function go(target) {
    for (let at = target.parentElement; at; at = at.parentElement) if (at.matches("details")) at.open = true;
    if (target.matches("a[href]")) target.click();
    else target.focus();
  }
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || off() || typing(event.target)) return;
    const steps = { j: 1, k: -1 };
    const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (event.key in steps && step(steps[event.key])) event.preventDefault();
    else if (target) { event.preventDefault(); go(target); }
  });

  const toggle = document.querySelector("[data-keys]");
  if (!toggle) return;
  const name = () => { toggle.textContent = off() ? "Turn these keys on" : "Turn these keys off"; };
  toggle.hidden = false;
  name();
  toggle.addEventListener("click", () => { localStorage.setItem(SWITCH, off() ? "on" : "off"); name(); });
});
