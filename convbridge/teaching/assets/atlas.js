"use strict";
(() => {
  const tools = document.getElementById("tools");
  const field = document.getElementById("filter");
  const silent = document.getElementById("silent");
  const count = document.getElementById("count");
  const shown = [...document.querySelectorAll("[data-entry]")];
  const groups = [...document.querySelectorAll("[data-group]")];
  const total = new Set(shown.map((one) => one.dataset.entry)).size;
  const text = new Map();
  for (const entry of document.querySelectorAll(".entry")) text.set(entry.dataset.entry, entry.textContent.toLowerCase());

  function filter() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const left = new Set();
    for (const one of shown) {
      const fits = words.every((word) => text.get(one.dataset.entry).includes(word));
      one.hidden = !fits || (silent.checked && !("silent" in one.dataset));
      if (!one.hidden) left.add(one.dataset.entry);
    }
    for (const group of groups) group.hidden = !group.querySelector("[data-entry]:not([hidden])");
    count.textContent = left.size === total ? `${total} entries` : `${left.size} of ${total} entries`;
  }

  field.addEventListener("input", filter);
  silent.addEventListener("change", filter);
  // A link to an entry that the filter hides would lead nowhere.
  window.addEventListener("hashchange", () => {
    const wanted = document.getElementById(location.hash.slice(1));
    if (!wanted || !wanted.hidden) return;
    field.value = "";
    silent.checked = false;
    filter();
    wanted.scrollIntoView();
  });

  async function copy(code) {
    try {
      await navigator.clipboard.writeText(code.textContent);
      return "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      return "Selected";
    }
  }
  for (const code of document.querySelectorAll(".code code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy the code");
    button.addEventListener("click", async () => {
      button.textContent = await copy(code);
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    code.closest(".part").querySelector("header").append(button);
  }

  // What scrolls can be scrolled by keyboard; what does not is no stop on the way.
  function reach() {
    for (const box of document.querySelectorAll(".entry pre")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }
  window.addEventListener("resize", reach);
  reach();

  tools.hidden = false;
  filter();
})();
