// While a check runs, this part of the page is asked for again: the form below it keeps what somebody is typing.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const again = () => document.querySelector("#ao-overview[data-again]");
  async function look() {
    const shown = again();
    if (!shown) return;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("ao-overview");
      if (answer.ok && fresh) { shown.replaceWith(fresh); offerCopying(fresh); }
    } catch { /* the next look may succeed */ }
    wait();
  }
  function wait() { const shown = again(); if (shown) setTimeout(look, Number(shown.dataset.again)); }
  wait();
});
