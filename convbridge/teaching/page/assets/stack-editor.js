/* The list of layers with what comes out of each, the fields of the chosen one, and the stack as text.
 * What may live here: the editor; the numbers are stack.js's. */
const stackEditor = (() => {
  /** Sizes as text: channels × height × width; what is not known is a question mark. */
  const by = (...numbers) => numbers.map((number) => number ?? "?").join(" × ");
  const counted = (count) => (count === null ? "?" : count.toLocaleString("en-US"));
  const either = ([a, b]) => (a === b ? words.spoken(a) : `${words.spoken(a)}, ${words.spoken(b)}`);

  const COLUMNS = ["layer", "output", "sees", "step", "start", "parameters", "products"];
  /** The words of the text form, for the hint about it. */
  const WORDS = {
    ...{ conv: "conv K", pool: "pool K", avgpool: "avgpool K", s: "s", p: "p", d: "d", c: "c", g: "g", ceil: "ceil" },
    ...{ or: "|", times: "3 * conv 5" },
  };
  const NONE = COLUMNS.slice(1).map(() => "–");

  /** What a row shows behind its layer. */
  const cellsOf = (step) => [
    by(step.channels, ...step.size),
    by(...step.field),
    either(step.jump),
    either(step.start),
    counted(step.parameters),
    counted(step.products),
  ];

  /**
   * Build the editor. The host has `state`, `steps`, `problem` or null, `typed`, where what is wrong with an input is
   * written, `update` for after a change of numbers, `anew` for after one of the list, and `choose` a layer.
   */
  function create(root, host) {
    const image = make("div", { class: "controls fields" });
    const table = make("table", { class: "layers", role: "table" });
    const add = make("button", { type: "button", "data-key": "add", onclick: addLayer });
    const heading = make("h3");
    const text = make("textarea", {
      ...{ rows: 2, spellcheck: "false", autocomplete: "off", autocapitalize: "off", translate: "no" },
      oninput: take,
      onblur: () => host.typed.has("text") || host.update(),
    });
    const hint = make("p", { class: "small muted" });
    const command = make("code");
    const copy = make("button", { type: "button", class: "copy", onclick: () => frameworks.copy(copy, command) });
    const line = make("pre", { tabindex: "0", role: "region", translate: "no" }, command);
    root.append(
      image,
      make("div", { class: "scroll" }, table),
      make("div", { class: "toolbar" }, add),
      heading,
      text,
      hint,
      make("div", { class: "bar" }, make("h5"), copy),
      line,
    );
    let rows = []; // of each layer its row, the text of its button, and its cells

    // ---------------------------------------------------------------- the list

    const cell = (tag, column, ...children) =>
      make(
        tag,
        { role: tag === "td" ? "cell" : null, class: `of-${column}`, "data-label": t(`column.${column}`) },
        ...children,
      );

    function drawTable() {
      const { state } = host;
      const head = COLUMNS.map((column) =>
        make("th", { scope: "col", role: "columnheader", class: `of-${column}` }, t(`column.${column}`)),
      );
      const first = row(t("input"), [by(state.depth, ...state.size), "1 × 1", "1", "0", "", ""], "of-image");
      rows = state.layers.map((layer, index) => {
        const number = index + 1;
        const chosen = number === state.chosen;
        const words_ = make("span", { class: "mono", translate: "no" });
        const button = make(
          "button",
          {
            ...{ type: "button", class: "pick", "data-key": `layer.${number}`, "aria-expanded": String(chosen) },
            "aria-pressed": String(chosen),
            onclick: () => host.choose(null, number),
          },
          make("span", { class: "number" }, number),
          words_,
        );
        return { ...row(button, NONE, chosen ? "chosen" : ""), button, words: words_ };
      });
      const last = row(t("in-all"), ["", "", "", "", "", ""], "total");
      const body = rows.flatMap((one, index) =>
        index + 1 === state.chosen ? [one.element, drawFields()] : [one.element],
      );
      table.replaceChildren(
        make("caption", { class: "small" }, t("layers.caption")),
        make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, head)),
        make("tbody", { role: "rowgroup" }, first.element, ...body),
        make("tfoot", { role: "rowgroup" }, last.element),
      );
      rows.image = first;
      rows.total = last;
      add.textContent = t("layer.add");
    }

    function row(name, texts, kind) {
      const cells = texts.map((one, i) => cell("td", COLUMNS[i + 1], one));
      const head = make("th", { scope: "row", role: "rowheader", class: "of-layer" }, name);
      return { element: make("tr", { role: "row", class: kind || null }, head, ...cells), cells };
    }

    /** Write the numbers into the list and the text; nothing is made anew, so that the focus stays. */
    function refresh() {
      const { state, steps, problem } = host;
      rows.image.cells[0].textContent = by(state.depth, ...state.size);
      for (const [index, one] of rows.entries()) {
        one.words.textContent = stack.writeLayer(state.layers[index]);
        const shown = steps[index] ? cellsOf(steps[index]) : NONE;
        for (const [i, value] of shown.entries()) one.cells[i].textContent = value;
        one.element.classList.toggle("impossible", problem?.layer === index + 1);
      }
      const known = problem ? [null, null] : ["parameters", "products"].map((what) => steps.map((one) => one[what]));
      const totals = known.map((counts) => (counts ? counted(stack.total(counts)) : "–"));
      for (const [i, value] of totals.entries()) rows.total.cells[4 + i].textContent = value;
      add.disabled = state.layers.length >= stack.LIMITS.layers;
      const written = stack.write(state.layers);
      if (text !== document.activeElement) {
        text.value = written;
        text.removeAttribute("aria-invalid");
        host.typed.delete("text");
      }
      text.rows = Math.min(Math.max(Math.ceil(text.value.length / 60), 2), 8);
      command.textContent =
        `convbridge shapes '${written}' --input ${state.size.join("x")}` +
        (state.depth === null ? "" : ` --channels ${state.depth}`);
    }

    // ---------------------------------------------------------------- the fields

    const field = (name, ...children) => make("fieldset", {}, make("legend", {}, t(name)), ...children);

    function whole(key, label, what, value, minimum, set) {
      const maximum =
        stack.LIMITS[{ window: "kernel", depth: "channels", outputs: "channels", groups: "channels" }[what] ?? what];
      return controls.wholeNumber(host, key, label, what, value, minimum, maximum, set);
    }

    const pair = (key, what, values) =>
      ["height", "width"].map((side, i) =>
        whole(`${key}.${side}`, t(`side.${side}`), what, values[i], 1, (value) => (values[i] = value)),
      );

    function drawImage() {
      const { state } = host;
      image.replaceChildren(
        field(
          "what.size",
          ...pair("image", "size", state.size),
          whole("image.depth", t("side.channels"), "depth", state.depth, 1, (value) => (state.depth = value)),
        ),
      );
    }

    /** A choice that makes the fields anew. */
    function select(key, label, value, options, set) {
      const chosen = make(
        "select",
        { "aria-label": label, "data-key": key, onchange: () => (set(chosen.value), host.anew(key)) },
        options.map(([one, name]) => make("option", { value: one, selected: one === value }, name)),
      );
      return chosen;
    }

    function drawFields() {
      const { state, steps } = host;
      const layer = state.layers[state.chosen - 1];
      const pooling = stack.isPooling(layer);
      const kinds = ["conv", "max", "avg"].map((kind) => [kind, t(`kind.${kind}`)]);
      const kind = select("kind", t("layer.kind"), layer.kind, kinds, (value) => (layer.kind = value));
      const paddings = ["numbers", ...engine.PADDING_WORDS].map((word) => [word, t(`padding.${word}`)]);
      const word = typeof layer.padding === "string" ? layer.padding : "numbers";
      const padding = select("padding", t("control.padding"), word, paddings, (value) => {
        const axes = steps[state.chosen - 1]?.axes; // what the word came to; without a result nothing
        const numbers = [0, 1].map((i) => (axes ? [axes[i].before, axes[i].after] : [0, 0]));
        layer.padding = value === "numbers" ? numbers : value;
      });
      const sides = ["top", "bottom", "left", "right"].map((side, i) => {
        const [axis, end] = [i >> 1, i % 2];
        if (word !== "numbers") return null;
        return whole(`layer.p.${side}`, t(`side.${side}`), "padding", layer.padding[axis][end], 0, (value) => {
          layer.padding[axis][end] = value;
        });
      });
      const kernel = pooling ? "window" : "kernel";
      const parts = [
        field("layer.kind", kind),
        field(`what.${kernel}`, ...pair("layer.k", kernel, layer.kernel)),
        field("what.stride", ...pair("layer.s", "stride", layer.stride)),
        field("what.padding", padding, ...sides.filter(Boolean)),
        field("what.dilation", ...pair("layer.d", "dilation", layer.dilation)),
      ];
      if (pooling) {
        const box = make("input", {
          ...{ type: "checkbox", checked: layer.ceil },
          onchange: () => ((layer.ceil = box.checked), host.update()),
        });
        parts.push(make("label", { class: "check" }, box, ` ${t("control.ceil")}`));
      } else {
        const channels = (value) => (layer.channels = value);
        const groups = (value) => (layer.groups = value);
        parts.push(
          field(
            "column.output",
            whole("layer.channels", t("side.channels"), "outputs", layer.channels, 1, channels),
            whole("layer.groups", t("side.groups"), "groups", layer.groups, 1, groups),
          ),
        );
      }
      const actions = make(
        "div",
        { class: "actions", role: "group", "aria-label": t("layer.actions", { layer: state.chosen }) },
        action("up", state.chosen > 1, () => moveLayer(-1)),
        action("down", state.chosen < state.layers.length, () => moveLayer(1)),
        action("remove", state.layers.length > 1, removeLayer),
      );
      return make(
        "tr",
        { class: "editing", role: "row" },
        make(
          "td",
          { colspan: COLUMNS.length, role: "cell" },
          make(
            "div",
            {
              class: "controls fields",
              role: "group",
              "aria-label": t("layer.fields", { layer: state.chosen }),
            },
            ...parts,
            actions,
          ),
        ),
      );
    }

    const action = (name, possible, act) =>
      make("button", { type: "button", "data-key": name, disabled: !possible, onclick: act }, t(`layer.${name}`));

    // ---------------------------------------------------------------- changes of the list

    function addLayer() {
      const { state, steps } = host;
      const channels = steps.at(-1)?.channels ?? state.depth;
      const [layer] = stack.parse("conv 3 p1");
      state.layers.push({ ...layer, channels });
      state.chosen = state.layers.length;
      host.anew("kind");
    }

    function removeLayer() {
      const { state } = host;
      state.layers.splice(state.chosen - 1, 1);
      state.chosen = Math.min(state.chosen, state.layers.length);
      host.anew(`layer.${state.chosen}`);
    }

    function moveLayer(by_) {
      const { state } = host;
      const [layer] = state.layers.splice(state.chosen - 1, 1);
      state.chosen += by_;
      state.layers.splice(state.chosen - 1, 0, layer);
      const key = by_ < 0 ? "up" : "down";
      host.anew(key);
      // at an end the button does nothing more, and would lose the focus
      if (root.querySelector(`[data-key="${key}"]`).disabled)
        root.querySelector(`[data-key="${by_ < 0 ? "down" : "up"}"]`).focus();
    }

    /** Read what was typed as text; what cannot be read is said, and the last stack stays. */
    function take() {
      const { state } = host;
      try {
        state.layers = stack.parse(text.value);
        state.chosen = Math.min(state.chosen, state.layers.length);
        host.typed.delete("text");
        text.removeAttribute("aria-invalid");
        host.anew();
      } catch (problem) {
        if (!(problem instanceof engine.Problem)) throw problem;
        host.typed.set("text", problem);
        text.setAttribute("aria-invalid", "true");
        host.update();
      }
    }

    function draw() {
      drawImage();
      drawTable();
      heading.textContent = t("stack.text");
      text.setAttribute("aria-label", t("stack.text"));
      const code = Object.entries(WORDS).map(([name, word]) => [name, `<code translate="no">${word}</code>`]);
      hint.innerHTML = t("stack.hint", Object.fromEntries(code));
      root.querySelector("h5").textContent = t("stack.command");
      copy.textContent = t("copy");
      copy.setAttribute("aria-label", t("copy.label", { name: "convbridge shapes" }));
      line.setAttribute("aria-label", t("stack.command"));
    }

    return { draw, refresh };
  }

  return { by, counted, create };
})();
