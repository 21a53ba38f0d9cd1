/* What the frameworks returned in the run that made the page: sources, outputs, the verdict. */
const frameworks = (() => {
  const { participants, examples, code } = words.data;
  let chosen = participants[0]?.name; // the tab of all sections
  const all = [];

  /** Nested numbers as text, a row on a line. */
  function asText(value, indent = 0) {
    const revive = (item) =>
      Array.isArray(item) ? item.map(revive) : words.short(typeof item === "string" ? words.parse(item) : item);
    return layOut(revive(value), indent);
  }
  function layOut(value, indent) {
    if (!Array.isArray(value)) return value;
    if (!Array.isArray(value[0])) return `[${value.join(", ")}]`;
    const flat = value.flat(9);
    const width = Math.max(...flat.map((text) => text.length));
    const padded = (item) => (Array.isArray(item) ? item.map(padded) : item.padStart(width));
    const between = `,\n${Array.isArray(value[0][0]) ? "\n" : ""}${" ".repeat(indent + 1)}`;
    return `[${padded(value)
      .map((item) => (Array.isArray(item[0]) ? layOut(item, indent + 1) : `[${item.join(", ")}]`))
      .join(between)}]`;
  }

  async function copy(button, block) {
    let said = "copied";
    try {
      await navigator.clipboard.writeText(block.textContent);
    } catch {
      getSelection().selectAllChildren(block);
      said = "selected";
    }
    button.textContent = t(said);
    setTimeout(() => (button.textContent = t("copy")), 1500);
  }

  /** A listing under its name, with a button that copies it. */
  function source(who, name, label, marked = code[name][who]) {
    const block = make("code", { "data-source": name });
    block.innerHTML = marked;
    const button = make(
      "button",
      {
        type: "button",
        class: "copy",
        "aria-label": t("copy.label", { name: `${who}, ${name}` }),
        onclick: () => copy(button, block),
      },
      t("copy"),
    );
    const box = make(
      "pre",
      { tabindex: "0", role: "region", "aria-label": t("code.label", { name: `${who}, ${name}` }), translate: "no" },
      block,
    );
    return make("div", { class: "source" }, make("div", { class: "bar" }, make("h5", {}, label), button), box);
  }

  function output(result) {
    const call = make(
      "pre",
      { class: "call", translate: "no" },
      make("code", {}, `>>> ${result.call}\n`),
      make("samp", {}, result.output === null ? "" : asText(result.output)),
    );
    const error = result.output === null ? make("p", { class: "error" }, t("failed", { error: result.error })) : null;
    // the chapter's listing stands above, under its own name
    return [result.kind === "chapter" ? null : make("h5", {}, t(`source.${result.kind}`)), call, error];
  }

  /** A backend under its name and version; what `content` returns for it, or why it is missing. */
  function pane({ name, version, problem }, content) {
    const head = make(
      "header",
      {},
      make("h4", { translate: "no" }, name, make("span", { class: "muted small" }, ` ${version}`)),
    );
    if (problem) {
      head.append(make("span", { class: "badge missing" }, t("missing")));
      return make(
        "section",
        { class: "pane card", "data-backend": name, "aria-label": name },
        head,
        make("p", {}, t("absent")),
        make("p", { class: "small", translate: "no" }, problem),
      );
    }
    return make("section", { class: "pane card", "data-backend": name, "aria-label": name }, head, ...content(name));
  }

  /** What a pane of an example holds: the chapter's listings, the outputs, and behind a word the other sources. */
  function compared(name, example) {
    const { sources, results } = examples[example];
    const isOf = (module) => (function_) => function_.startsWith(`${module}.`);
    // where the chapter has nothing of its own, the layer that it uses
    const module = ["chapter", "layers"].find((one) => sources.some(isOf(one)));
    const listings = sources
      .filter(isOf(module))
      .map((function_) => source(name, function_, t(module === "chapter" ? "source.chapter" : "source.layer")));
    const more = sources.filter((function_) => !isOf(module)(function_));
    const label = (function_) => t(function_.startsWith("layers.") ? "source.show.layer" : "source.show");
    return [
      ...listings,
      results[name].flatMap(output),
      ...more.map((function_) =>
        make("details", {}, make("summary", { class: "small" }, label(function_)), source(name, function_, function_)),
      ),
    ];
  }

  /** All backends next to each other, or on a narrow screen behind tabs; enlist() their element once. */
  function panes(content) {
    const tabs = make(
      "div",
      { class: "tabs", role: "group", "aria-label": t("frameworks.tabs") },
      participants.map(({ name }) =>
        make("button", { type: "button", translate: "no", "data-tab": name, onclick: () => choose(name) }, name),
      ),
    );
    const side = participants.map((one) => pane(one, content));
    return [tabs, make("div", { class: "panes" }, side)];
  }

  const BADGES = {
    equal: ["ok", "equal"],
    rounding: ["rounding", "rounding"],
    "REAL DIFFERENCE": ["bad", "different"],
    ERROR: ["bad", "error"],
  };

  function verdict(example) {
    const { verdict: found, results } = examples[example];
    const [badge, key] = BADGES[found.kind];
    const { difference, between, fraction } = found;
    const [left, right] = between.map((text) =>
      text.replace(/ (chapter|layer|operator)/, (_, kind) => ` (${t(`kind.${kind}`)})`),
    );
    const text = t(`verdict.${key}`, {
      ...{ left, right, difference: words.spoken(Number(difference)), count: Object.values(results).flat().length },
      share: `${(Number(fraction) * 100).toPrecision(2)} %`,
    });
    return make(
      "p",
      { class: "verdict", "data-kind": key },
      make("span", { class: `badge ${badge}` }, t(`badge.${key}`)),
      ` ${text}`,
    );
  }

  /** Build the comparison of a section in an element. */
  function create(root) {
    let example = null;

    function draw() {
      root.replaceChildren(
        make("h3", {}, t("frameworks.title")),
        verdict(example),
        make("p", { class: "small muted" }, make("mark", {}, t("frameworks.legend"))),
        ...panes((name) => compared(name, example)),
      );
      mark(root);
    }

    enlist(root);
    words.whenSpoken(() => example && draw());
    return {
      show(name) {
        if (name === example) return;
        example = name;
        draw();
      },
    };
  }

  /** Let an element's panes follow the tab that is chosen; mark() it whenever they are drawn anew. */
  const enlist = (root) => all.push(root);

  function mark(root) {
    for (const tab of root.querySelectorAll("[data-tab]"))
      tab.setAttribute("aria-pressed", String(tab.dataset.tab === chosen));
    for (const one of root.querySelectorAll(".pane")) one.classList.toggle("chosen", one.dataset.backend === chosen);
  }

  /** On a narrow screen one framework is seen, the same in every section. */
  function choose(name) {
    chosen = name;
    for (const root of all) mark(root);
  }

  return { BADGES, asText, copy, create, enlist, mark, panes, source };
})();
