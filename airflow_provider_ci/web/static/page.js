// Pages work without this script. The script shows times in the browser's time zone, counts ages, adds copy
// buttons, and refreshes parts of the page while filters, focus, open details and the scroll position stay.
"use strict";

(() => {
  const MINUTE = 60, HOUR = 3600, DAY = 86400;
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  document.documentElement.classList.add("scripted");
  if (window.self !== window.top) document.documentElement.classList.add("framed");

  function duration(seconds) {
    const whole = Math.max(0, Math.round(seconds));
    if (whole >= DAY) return `${Math.floor(whole / DAY)} d ${Math.floor((whole % DAY) / HOUR)} h`;
    if (whole >= HOUR) return `${Math.floor(whole / HOUR)} h ${Math.floor((whole % HOUR) / MINUTE)} min`;
    if (whole >= MINUTE) return `${Math.floor(whole / MINUTE)} min ${whole % MINUTE} s`;
    return `${whole} s`;
  }

  function showTimes(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(element.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      if (element.classList.contains("age")) {
        element.title = exact.format(moment);
        element.textContent = `${duration((Date.now() - moment) / 1000)} ago`;
      } else if (!element.dataset.utc) {
        element.dataset.utc = element.textContent;
        element.title = element.textContent;
        element.textContent = exact.format(moment);
      }
    }
  }

  function offerCopies(root) {
    for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = !navigator.clipboard;
  }

  async function copy(button) {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  }

  // Each element with data-live and an id is replaced by the element of that id in a fresh copy of this page.
  const source = new Map();

  function remember() {
    for (const part of document.querySelectorAll("[data-live][id]")) source.set(part.id, part.outerHTML);
  }

  function openFolds(part) {
    return new Set([...part.querySelectorAll("details[open][id]")].map((fold) => fold.id));
  }

  function renew(part, fresh) {
    const html = fresh.outerHTML;
    if (source.get(part.id) === html) return;
    source.set(part.id, html);
    const folds = openFolds(part);
    const closed = new Set([...part.querySelectorAll("details:not([open])[id]")].map((fold) => fold.id));
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const again = focused && (focused.id ? `#${CSS.escape(focused.id)}`
      : focused.hasAttribute("href") ? `a[href="${CSS.escape(focused.getAttribute("href"))}"]` : null);
    const node = document.importNode(fresh, true);
    for (const fold of node.querySelectorAll("details[id]")) {
      if (folds.has(fold.id)) fold.open = true;
      else if (closed.has(fold.id)) fold.open = false;
    }
    part.replaceWith(node);
    showTimes(node);
    offerCopies(node);
    if (again) node.querySelector(again)?.focus({ preventScroll: true });
  }

  async function refresh() {
    const note = document.getElementById("freshness");
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (!response.ok) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live][id]")) {
        const fresh = page.getElementById(part.id);
        if (fresh) renew(part, fresh);
      }
      if (note) note.textContent = "";
      if (!page.body.dataset.refresh) return 0;
      return Number(page.body.dataset.refresh);
    } catch {
      if (note) note.textContent = "Cannot refresh now; the numbers may be old.";
      return Number(document.body.dataset.refresh) * 3;
    }
  }

  function isReading() {
    const selection = document.getSelection();
    return document.hidden || (selection !== null && selection.type === "Range");
  }

  function keepFresh(seconds) {
    if (!seconds) return;
    setTimeout(async () => keepFresh(isReading() ? seconds : await refresh()), seconds * 1000);
  }

  // A form with data-drop accepts files that are dropped anywhere on the page, and is sent at once.
  function takeDrops(form) {
    const place = form.querySelector(".drop"), input = form.querySelector("input[type=file]");
    const hasFiles = (event) => [...event.dataTransfer.types].includes("Files");
    document.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      place.classList.add("over");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) place.classList.remove("over");
    });
    document.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      place.classList.remove("over");
      input.files = event.dataTransfer.files;
      form.requestSubmit();
    });
    form.addEventListener("submit", () => { form.querySelector(".button.main").textContent = "Sending …"; });
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (button) copy(button);
  });
  for (const form of document.querySelectorAll("form[data-drop]")) takeDrops(form);
  remember();
  showTimes(document);
  offerCopies(document);
  setInterval(() => showTimes(document), 1000);
  keepFresh(Number(document.body.dataset.refresh));
})();
