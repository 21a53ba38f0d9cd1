/* A section of the chapters' examples: links to them, an explorer, and what the frameworks returned. */
components.register("examples", ({ root, links, remember }) => {
  const choice = root.querySelector(".choice");
  const changed = make("p", { class: "changed small", hidden: true });
  const compared = frameworks.create(root.querySelector(".frameworks"));
  let shown = links[0];
  let written = null; // the link of the state that is seen

  function drawChoice() {
    changed.textContent = t("changed");
    if (links.length === 1) return;
    const all = links.map((example) =>
      make("a", { href: `#${example}`, "aria-current": example === shown ? "true" : false }, t(`example.${example}`)),
    );
    choice.replaceChildren(
      make(
        "nav",
        { "aria-label": t("choose") },
        make(
          "ul",
          { class: "examples" },
          all.map((one) => make("li", {}, one)),
        ),
      ),
    );
  }

  const seen = explorer.create(root.querySelector(".explorer"), (state, original) => {
    changed.hidden = link.write({ ...state, step: 0 }, original) === link.write(original, original);
    const now = link.write(state, original);
    const before = written;
    written = now;
    // the first drawing, and one in another language, are no reason to rewrite the address
    if (before !== null && before !== now) remember();
  });
  root.querySelector(".frameworks").before(changed);
  words.whenSpoken(drawChoice);

  return {
    show(example, parts) {
      shown = example;
      written = null;
      const { changes, unreadable } = link.read(parts);
      compared.show(example);
      seen.show(example, changes, unreadable);
      drawChoice();
    },
    link: () => written,
  };
});
