/* The page put together: its sections, the language, the address bar. */
(() => {
  const sections = []; // of the page, in its order
  const answering = {}; // link to the section that shows it
  let latest = null; // the section that the address bar is to name
  let waiting = null;
  let seen = ""; // what the address bar said when the page last read or wrote it

  words.speak(address.read(location.hash).language ?? (navigator.language.startsWith("zh") ? "zh" : "en"));

  for (const [name, { component, links }] of Object.entries(words.data.sections)) {
    const root = document.getElementById(`section-${name}`);
    const section = { root };
    Object.assign(section, components.create(component, { root, name, links, remember: () => remember(section) }));
    for (const link of links) answering[link] = section;
    sections.push(section);
    section.show(links[0], []);
  }

  function rewrite() {
    history.replaceState(null, "", address.write(latest.link()));
    seen = location.hash;
  }

  /** Write what a section shows into the address bar; not more often than browsers allow. */
  function remember(section) {
    latest = section;
    waiting ??= setTimeout(() => {
      waiting = null;
      if (location.hash === seen) rewrite(); // else a link is about to be followed
    }, 250);
  }

  function forget() {
    clearTimeout(waiting);
    waiting = null;
  }

  /** Show what the address bar names. */
  function follow() {
    forget();
    seen = location.hash;
    const { link, parts, language } = address.read(location.hash);
    if (language && language !== words.language) words.speak(language);
    if (!Object.hasOwn(answering, link)) return;
    latest = answering[link];
    const target = latest.show(link, parts) ?? latest.root.querySelector(".explorer") ?? latest.root;
    // a link without a language keeps the one that is spoken
    if (!language && words.language !== "en") rewrite();
    const { top } = target.getBoundingClientRect();
    const goal = target.matches(".explorer") ? latest.root : target; // with its paragraphs
    if (top < 0 || top > innerHeight * 0.6) goal.scrollIntoView({ behavior: "instant" });
  }

  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      words.speak(button.dataset.language);
      latest ??= sections[0];
      forget();
      if (location.hash === seen) rewrite();
      else follow();
    });
  }
  addEventListener("hashchange", follow);
  follow();
})();
