/* The page put together: its sections, the language, the address bar. */
(() => {
  const { sections } = words.data;
  const sectionOf = {};
  let latest = null; // the state that the address bar is to name
  let waiting = null;

  words.speak(link.read(location.hash).language ?? (navigator.language.startsWith("zh") ? "zh" : "en"));

  for (const [name, examples] of Object.entries(sections)) {
    const root = document.getElementById(`section-${name}`);
    const choice = root.querySelector(".choice");
    const changed = make("p", { class: "changed small", hidden: true });
    const compared = frameworks.create(root.querySelector(".frameworks"));
    const section = { root, draw: null, explorer: null };
    let shown = examples[0];
    let last = null;

    function drawChoice() {
      changed.textContent = t("changed");
      if (examples.length === 1) return;
      const links = examples.map((example) =>
        make("a", { href: `#${example}`, "aria-current": example === shown ? "true" : false }, t(`example.${example}`)),
      );
      choice.replaceChildren(
        make(
          "nav",
          { "aria-label": t("choose") },
          make(
            "ul",
            { class: "examples" },
            links.map((one) => make("li", {}, one)),
          ),
        ),
      );
    }

    section.explorer = explorer.create(root.querySelector(".explorer"), (state, original) => {
      changed.hidden = link.write({ ...state, step: 0 }, original) === link.write(original, original);
      // the first drawing, and one in another language, are no reason to rewrite the address
      const now = link.write(state, original, "en");
      if (last !== null && last !== now) remember(state, original);
      last = now;
      section.state = [state, original];
    });
    root.querySelector(".frameworks").before(changed);
    section.show = (example, changes, unreadable) => {
      shown = example;
      last = null;
      compared.show(example);
      section.explorer.show(example, changes, unreadable);
      drawChoice();
    };
    words.whenSpoken(drawChoice);
    for (const example of examples) sectionOf[example] = section;
    section.show(examples[0]);
  }

  /** Write a state into the address bar; not more often than browsers allow. */
  function remember(state, original) {
    latest = [state, original];
    waiting ??= setTimeout(() => {
      waiting = null;
      history.replaceState(null, "", link.write(...latest));
    }, 250);
  }

  function forget() {
    clearTimeout(waiting);
    waiting = null;
  }

  /** Show what the address bar names. */
  function follow() {
    forget();
    const { example, changes, language, unreadable } = link.read(location.hash);
    if (language && language !== words.language) words.speak(language);
    if (!Object.hasOwn(sectionOf, example)) return;
    const section = sectionOf[example];
    section.show(example, changes, unreadable);
    latest = section.state;
    // a link without a language keeps the one that is spoken
    if (!language && words.language !== "en") history.replaceState(null, "", link.write(...latest));
    const box = section.root.querySelector(".explorer").getBoundingClientRect();
    if (box.top < 0 || box.top > innerHeight * 0.6) section.root.scrollIntoView({ behavior: "instant" });
  }

  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      words.speak(button.dataset.language);
      latest ??= Object.values(sectionOf)[0].state;
      forget();
      history.replaceState(null, "", link.write(...latest));
    });
  }
  addEventListener("hashchange", follow);
  follow();
})();
