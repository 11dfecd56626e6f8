"use strict";

// Asks for the same page again and puts its <main> in place of the old one. Without this script the page is whole;
// it is only as old as it says.
(() => {
  const every = 15000;
  const patience = 25000; // above what the service takes at most
  const live = document.getElementById("live");
  let timer = 0;
  let asking = null;

  // Where the keyboard is: the same link of the same section, should other sections come or go.
  const path = (element) => {
    const section = element.closest("section")?.getAttribute("aria-labelledby");
    const href = element.getAttribute("href");
    const name = href ? `${element.localName}[href="${CSS.escape(href)}"]` : element.localName;
    return section ? `[aria-labelledby="${section}"] ${name}` : name;
  };

  const replace = (fresh) => {
    const old = document.querySelector("main");
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    if (focused && focused.matches("input, select")) return; // somebody writes there
    const open = [...old.querySelectorAll("details[open]")].map((one) => one.id);
    const place = focused && path(focused);
    const same = place ? [...old.querySelectorAll(place)].indexOf(focused) : -1;
    old.replaceChildren(...fresh.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (place) ([...old.querySelectorAll(place)][same] ?? old).focus({ preventScroll: true });
  };

  const turn = async () => {
    asking = new AbortController();
    const limit = setTimeout(() => asking.abort(), patience);
    try {
      const answer = await fetch(location.href, { signal: asking.signal, cache: "no-store", credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("main");
      if (!fresh) throw new Error(answer.statusText);
      replace(fresh);
      document.title = page.title;
      say("");
    } catch {
      if (!document.hidden) unknown();
    } finally {
      clearTimeout(limit);
      asking = null;
      wait();
    }
  };

  // The old headline would be an all-clear that nobody gives any more.
  const unknown = () => {
    const headline = document.querySelector("h1");
    headline.textContent = "I cannot say: the service does not answer.";
    headline.closest("section")?.classList.add("unknown");
    document.title = "? unknown \u2013 Tidegate";
    say("The service does not answer. The rest of this page is as old as it says.");
  };

  const say = (words) => {
    if (live.textContent !== words) live.textContent = words;
  };

  const wait = () => {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(turn, every);
  };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (!asking) turn();
  });
  wait();
})();
