/* Where the frameworks disagree: every question of the atlas, opened to what each framework wrote and answered. */
components.register("atlas", ({ root, name, remember }) => {
  const { backends, groups } = words.data.components.atlas;
  const board = root.querySelector(".atlas");
  const entries = groups.flat();
  const isSilent = (entry) => entry.answers.some(({ given }) => given.some((one) => one.kind === "silent"));
  const BADGES = { ok: "ok", loud: "rounding", silent: "bad", none: "missing" };
  const slug = (verdict) => verdict.replace(/[^\w]+/g, "-");
  const open = new Set(); // names of entries
  let opened = ""; // the one of them that the link names
  let sought = "";
  let silentOnly = false;
  let notice = "";
  let shown = new Map(); // entry's name to its element

  const title = (entry) => t(`atlas.title.${entry.name}`);

  /** A verdict; in a short word where there is little room, and one that promises nothing where nothing is. */
  function verdict(entry, one, short) {
    const word = short || !entry.promised;
    const said = word ? t(`atlas.word.${slug(one.verdict)}`) : t(`atlas.verdict.${slug(one.verdict)}`);
    const variant = one.variant && make("small", { class: "muted", translate: "no" }, `${one.variant} `);
    return make(
      "span",
      { class: "says" },
      variant || null,
      make("span", { class: `badge ${BADGES[one.kind]}` }, said),
    );
  }

  /** What a call came to: numbers, or the words of an error. */
  const outcome = (one) => make("pre", { class: one.numbers ? null : "error", translate: "no" }, one.text);

  function framework(entry, { backend, source, given }) {
    const listing = source
      ? frameworks.source(backend, `atlas.${entry.name}`, backend, source)
      : make("h5", { translate: "no" }, backend);
    return make(
      "section",
      { class: "pane card", "data-backend": backend, "aria-label": backend },
      listing,
      given.map((one) => make("div", { class: "answer" }, verdict(entry, one, false), outcome(one))),
    );
  }

  function promise(entry) {
    const badge = !entry.promised ? ["missing", "none"] : entry.kept ? ["ok", "kept"] : ["bad", "broken"];
    return make(
      "section",
      { class: "pane card promise", "aria-label": "convbridge" },
      frameworks.source("convbridge", `atlas.${entry.name}`, "convbridge", entry.call),
      entry.promises.map((one) =>
        make(
          "div",
          { class: "answer" },
          make(
            "p",
            { class: "says" },
            make("span", { class: `badge ${badge[0]}` }, t(`atlas.promise.${badge[1]}`)),
            make("small", { class: "muted", translate: "no" }, one.backends.join(", ")),
          ),
          outcome(one),
        ),
      ),
    );
  }

  function content(entry) {
    const reports = entry.threads.length
      ? make("p", { class: "small muted" }, `${t("atlas.threads")} `, make("span", { translate: "no" }, entry.threads.join(", ")))
      : null;
    return make(
      "div",
      { class: "answers" },
      make("p", {}, t(`atlas.question.${entry.name}`)),
      make(
        "div",
        { class: "inputs" },
        entry.inputs.map((text) => make("pre", { translate: "no" }, text)),
      ),
      make("div", { class: "panes all" }, [...entry.answers.map((one) => framework(entry, one)), promise(entry)]),
      make("h4", {}, t("atlas.why")),
      make("p", {}, t(`atlas.why.${entry.name}`)),
      make("h4", {}, t("atlas.does")),
      make("p", {}, t(`atlas.does.${entry.name}`)),
      reports,
    );
  }

  /** One question; what is behind it is made when it is first opened. */
  function question(entry) {
    const cells = entry.answers.map(({ backend, given }) => {
      const alike = given.every((one) => one.verdict === given[0].verdict);
      const said = alike ? [{ ...given[0], variant: "" }] : given;
      return make(
        "span",
        { class: "answer-in-short" },
        make("small", { class: "who muted", translate: "no" }, backend),
        said.map((one) => verdict(entry, one, true)),
      );
    });
    const head = make("summary", {}, make("span", { class: "title" }, title(entry)), cells);
    const box = make("details", { class: "question", "data-entry": entry.name, open: open.has(entry.name) }, head);
    const fill = () => box.querySelector(".answers") ?? box.append(content(entry));
    if (box.open) fill();
    box.addEventListener("toggle", () => {
      if (!box.open) return open.delete(entry.name);
      open.add(entry.name);
      fill();
    });
    // also by the keyboard: a click on the summary is what the reader does, before the box opens or closes
    head.addEventListener("click", () => {
      opened = box.open ? "" : entry.name;
      remember();
    });
    return box;
  }

  const field = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const check = make("input", { type: "checkbox" });
  const found = make("output", { class: "muted small" });
  const trouble = make("p", { class: "problem", role: "alert", hidden: true });

  function filter() {
    const wanted = sought.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const entry of entries) {
      const { name: key } = entry;
      const text = [key, title(entry), t(`atlas.question.${key}`), t(`atlas.why.${key}`), t(`atlas.does.${key}`)];
      const told = entry.answers.flatMap(({ backend, given }) =>
        given.map((one) => `${backend} ${one.variant} ${t(`atlas.word.${slug(one.verdict)}`)} ${one.text}`),
      );
      const all = [...text, ...told].join(" ").toLowerCase();
      const fits = wanted.every((word) => all.includes(word)) && (!silentOnly || isSilent(entry));
      shown.get(entry.name).hidden = !fits;
      left += fits;
    }
    for (const group of board.querySelectorAll(".questions"))
      group.hidden = !group.querySelector(".question:not([hidden])");
    found.textContent = t("atlas.count", { left, all: entries.length });
  }
  field.addEventListener("input", () => {
    sought = field.value;
    filter();
  });
  check.addEventListener("change", () => {
    silentOnly = check.checked;
    filter();
    remember();
  });

  function draw() {
    shown = new Map(entries.map((entry) => [entry.name, question(entry)]));
    const legend = ["ok", "loud", "silent"].map((kind) => [
      make("dt", {}, make("span", { class: `badge ${BADGES[kind]}` }, t(`atlas.kind.${kind}`))),
      make("dd", {}, t(`atlas.legend.${kind}`)),
    ]);
    const heads = make(
      "div",
      { class: "heads small muted", "aria-hidden": "true" },
      make("span", { class: "title" }),
      backends.map((backend) => make("span", { translate: "no" }, backend)),
    );
    board.style.setProperty("--backends", backends.length);
    board.replaceChildren(
      trouble,
      make("dl", { class: "legend small" }, legend.flat()),
      make(
        "div",
        { class: "toolbar", role: "search" },
        make("label", { class: "find" }, make("span", {}, t("atlas.find")), field),
        make("label", { class: "check" }, check, make("span", {}, t("atlas.silent"))),
        found,
      ),
      heads,
      ...groups.map((group, i) =>
        make(
          "div",
          { class: "questions" },
          make("h3", {}, t(`atlas.group.${i + 1}`)),
          group.map((entry) => shown.get(entry.name)),
        ),
      ),
    );
    trouble.hidden = !notice;
    trouble.textContent = notice && t("problem.link", { value: notice });
    filter();
  }

  words.whenSpoken(draw);
  return {
    show(_, parts) {
      const unreadable = [];
      [opened, silentOnly] = ["", false];
      for (const [key, text] of parts) {
        if (key === "entry" && shown.size && entries.some((entry) => entry.name === text)) opened = text;
        else if (key === "silent" && text === "1") silentOnly = true;
        else unreadable.push(text ? `${key}=${text}` : key);
      }
      // a link to an entry that the filter hides would lead nowhere
      if (opened) {
        field.value = sought = "";
        open.add(opened);
      }
      check.checked = silentOnly;
      notice = unreadable.join(", ");
      draw();
      return opened ? shown.get(opened) : null;
    },
    link: () => [name, ...(opened ? [`entry=${opened}`] : []), ...(silentOnly ? ["silent=1"] : [])].join("&"),
  };
});
