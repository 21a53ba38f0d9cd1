/* The parity matrix: a row of cases, a column of two that were compared, and behind each cell what was found. */
components.register("parity", ({ root, name, remember }) => {
  const found = words.data.components.parity;
  const board = root.querySelector(".matrix");
  const CLASSES = { equal: "ok", rounding: "rounding", unsupported: "missing", missing: "missing" };
  const SYMBOLS = { equal: "=", rounding: "~", unsupported: "–", missing: "?", "REAL DIFFERENCE": "!", crashed: "×" };
  const slug = (verdict) => verdict.toLowerCase().replace(" ", "-");
  const number = (value) => value.toLocaleString("en-US");
  /** A fraction of a bound; 1 would say that it is used up. */
  const share = (value) => (value > 0.99 && value < 1 ? Math.min(value, 0.9999).toFixed(4) : Number(value).toFixed(2));
  let opened = null; // [row, column]
  let notice = "";

  const side = (who) => (who === "" ? t("parity.exact") : who);
  const versus = ([left, right]) => t("parity.against", { left, right: side(right) });
  const rowName = ([operation, implementation, kind, dtype]) =>
    `${operation}, ${t(`parity.implementation.${implementation}`)}, ${t(`parity.kind.${kind}`)}, ${dtype}`;

  function text(cell) {
    if (cell.verdict === "rounding") return `~${share(cell.fraction)}`;
    const bad = !(cell.verdict in CLASSES);
    return bad ? `${SYMBOLS[cell.verdict]} ${number(cell.counts[cell.verdict])}` : SYMBOLS[cell.verdict];
  }

  function drawCell(cell, i, j) {
    if (cell === null) return make("td", { "data-at": `${i},${j}` }, "·");
    const label = `${rowName(found.rows[i])}, ${versus(found.columns[j])}: ${t(`parity.verdict.${slug(cell.verdict)}`)}`;
    const button = make(
      "button",
      {
        type: "button",
        class: `verdict ${CLASSES[cell.verdict] ?? "bad"}`,
        "aria-label": cell.verdict === "rounding" ? `${label}, ${share(cell.fraction)}` : label,
        "aria-pressed": String(opened?.[0] === i && opened?.[1] === j),
        tabindex: "-1",
        onclick: () => open(i, j),
      },
      text(cell),
    );
    return make("td", { "data-at": `${i},${j}` }, button);
  }

  /** What a cell was made of. */
  function drawPanel() {
    if (!opened) return make("p", { class: "muted panel", "aria-live": "polite" }, t("parity.open"));
    const [i, j] = opened;
    const cell = found.cells[i][j];
    const { worst } = cell;
    const counts = Object.entries(cell.counts).map(([verdict, count]) =>
      make(
        "li",
        {},
        make("span", { class: `badge ${CLASSES[verdict] ?? "bad"}` }, t(`parity.verdict.${slug(verdict)}`)),
        ` ${number(count)}`,
        verdict === "equal" && cell.exact ? ` ${t("parity.exactly", { count: number(cell.exact) })}` : "",
      ),
    );
    const reasons = Object.entries(cell.reasons).map(([reason, count]) =>
      make("li", { class: "small" }, `${number(count)} × `, make("span", { translate: "no" }, reason)),
    );
    const parts = [
      make("h3", { tabindex: "-1" }, versus(found.columns[j])),
      make("p", { class: "muted" }, rowName(found.rows[i])),
      make("ul", { class: "counts" }, counts),
    ];
    if (reasons.length) parts.push(make("ul", { class: "counts" }, reasons));
    if (worst) {
      parts.push(
        make("h4", {}, t(worst.verdict === "rounding" ? "parity.worst" : "parity.example")),
        make("pre", { tabindex: "0", role: "region", "aria-label": t("parity.call"), translate: "no" }, worst.call),
      );
      if (worst.at) {
        const [left, right] = found.columns[j];
        const terms = [
          [t("parity.at"), `${worst.result}[${worst.at.join(", ")}]`],
          [left, worst.left],
          [side(right), worst.right],
          [t("parity.difference"), worst.off],
          [t("parity.allowed"), worst.allowed],
        ];
        parts.push(make("dl", { class: "numbers mono small" }, terms.flatMap(([a, b]) => [make("dt", {}, a), make("dd", {}, b)])));
      }
      parts.push(
        make("p", { class: "small" }, `${t("parity.again")} `, make("code", { translate: "no" }, `convbridge parity --only ${worst.case}`)),
      );
    }
    return make("div", { class: "panel", "aria-live": "polite" }, ...parts);
  }

  function open(i, j) {
    [opened, notice] = [[i, j], ""];
    draw();
    board.querySelector(`td[data-at="${i},${j}"] button`).focus({ preventScroll: true });
    remember();
  }

  /** The arrow keys go from cell to cell; the tab key stops once. */
  function walk(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    let [i, j] = event.target.closest("td").dataset.at.split(",").map(Number);
    for (;;) {
      [i, j] = [i + step[0], j + step[1]];
      const cell = board.querySelector(`td[data-at="${i},${j}"]`);
      if (!cell) return;
      const button = cell.querySelector("button");
      if (button) return button.focus();
    }
  }

  function stop(button) {
    for (const one of board.querySelectorAll("td .verdict")) one.tabIndex = one === button ? 0 : -1;
  }

  function drawTable() {
    const alone = found.columns.filter(([, right]) => right === "").length;
    const heads = [
      [t("parity.with-exact"), alone],
      [t("parity.with-others"), found.columns.length - alone],
    ].filter(([, columns]) => columns);
    const first = (j) => (j === 0 || j === alone ? "first" : null);
    const names = found.columns.map(([left, right], j) =>
      make("th", { scope: "col", class: first(j), translate: "no" }, left, right ? make("span", { class: "muted" }, ` ${right}`) : null),
    );
    const body = [];
    let before = "";
    found.rows.forEach(([operation, implementation, kind, dtype], i) => {
      const group = `${operation} ${implementation}`;
      if (group !== before) {
        const title = make("span", {}, make("code", { translate: "no" }, operation), ` ${t(`parity.implementation.${implementation}`)}`);
        body.push(make("tr", { class: "operation" }, make("th", { scope: "rowgroup", colspan: found.columns.length + 1 }, title)));
      }
      before = group;
      const head = make("th", { scope: "row" }, `${t(`parity.kind.${kind}`)} `, make("span", { class: "muted", translate: "no" }, dtype));
      body.push(make("tr", {}, head, ...found.cells[i].map((cell, j) => drawCell(cell, i, j))));
    });
    const table = make(
      "table",
      { "aria-label": t("section.parity.title") },
      make(
        "thead",
        {},
        make("tr", {}, make("td", { rowspan: 2 }), ...heads.map(([words_, n]) => make("th", { scope: "colgroup", colspan: n, class: "first" }, words_))),
        make("tr", {}, ...names),
      ),
      make("tbody", {}, ...body),
    );
    table.addEventListener("keydown", walk);
    table.addEventListener("focusin", (event) => event.target.matches(".verdict") && stop(event.target));
    return table;
  }

  function draw() {
    const { counts } = found;
    const bad = (counts["REAL DIFFERENCE"] ?? 0) + (counts.crashed ?? 0);
    const summary = t("parity.summary", {
      cases: number(found.cases),
      lattice: number(found.lattice),
      comparisons: number(found.comparisons),
      equal: number(counts.equal ?? 0),
      exact: number(found.exact),
      rounding: number(counts.rounding ?? 0),
      share: share(Number(found.used)),
      unsupported: number(counts.unsupported ?? 0),
    });
    const legend = Object.keys(SYMBOLS)
      .filter((verdict) => counts[verdict])
      .map((verdict) => [
        make("dt", {}, make("span", { class: `verdict ${CLASSES[verdict] ?? "bad"}`, "aria-hidden": "true" }, SYMBOLS[verdict])),
        make("dd", {}, t(`parity.legend.${slug(verdict)}`)),
      ]);
    const box = make("div", { class: "box", tabindex: "-1" }, drawTable());
    const left = board.querySelector(".box")?.scrollTop ?? 0;
    board.replaceChildren(
      make("p", { class: "problem", role: "alert", hidden: !notice }, notice && t("problem.link", { value: notice })),
      make("p", { class: "headline" }, make("span", { class: `badge ${bad ? "bad" : "ok"}` }, t(bad ? "parity.bad" : "parity.good")), ` ${summary}`),
      make("dl", { class: "legend small" }, legend.flat()),
      make("div", { class: "opened" }, box, drawPanel()),
      make("p", { class: "small muted" }, t("parity.whole"), " ", make("code", { translate: "no" }, "convbridge parity --html report.html")),
    );
    box.scrollTop = left;
    const at = opened ? `td[data-at="${opened}"] .verdict` : "td .verdict";
    stop(board.querySelector(at));
  }

  words.whenSpoken(draw);
  return {
    show(_, parts) {
      opened = null;
      const unreadable = [];
      for (const [key, text_] of parts) {
        const [i, j] = text_.split(",").map((part) => Number(part) - 1);
        if (key === "cell" && found.cells[i]?.[j]) opened = [i, j];
        else unreadable.push(text_ ? `${key}=${text_}` : key);
      }
      notice = unreadable.join(", ");
      draw();
      return null;
    },
    link: () => (opened ? `${name}&cell=${opened.map((i) => i + 1).join(",")}` : name),
  };
});
