/* The explorer: an input, a kernel and an output that can be changed, stepped through and linked to. */
const explorer = (() => {
  const { channelsOf, compute, conform, isPooling, sentence, sizeOf, spell } = model;

  /** Build an explorer in an element. `changed` is called with every new state. */
  function create(root, changed) {
    let state = null;
    let original = null; // the example's own
    let result = null; // of the last state that could be computed, or null
    let cells = {}; // key of a grid to its cells
    let typed = new Map(); // where something was typed that is no number, and what is wrong with it
    let notice = ""; // about the link

    const problem = make("p", { class: "problem", role: "alert", hidden: true });
    const board = make("div", { class: "grids" });
    const outputs = make("div", { class: "group outputs" });
    const sum = make("p", { class: "sum mono", "aria-live": "polite" });
    const feeds = make("p", { class: "feeds small", "aria-live": "polite" });
    const steps = stepper.create({
      label: "stepper",
      count: () => (result ? count() : 0),
      at: () => state.step,
      go: (step) => go(step),
      where: () => t("step.where", { step: state.step + 1, all: count() }),
      quiet: (on) => sum.setAttribute("aria-live", on ? "off" : "polite"),
    });
    const size = make("div", { class: "size" });
    const panel = make("details", { class: "controls" });
    root.append(problem, board, sum, feeds, steps.element, size, panel);

    const fields = controls.create(panel, {
      get state() {
        return state;
      },
      get result() {
        return result;
      },
      get typed() {
        return typed;
      },
      update: () => update(),
      restore: () => show(state.example),
    });

    // ---------------------------------------------------------------- state

    function show(example, changes = {}, unreadable = []) {
      steps.pause();
      original = conform({ example, step: 0, ...structuredClone(words.data.examples[example].setup) });
      for (const which of ["X", "K", "bias"]) original[which] = revive(original[which]);
      state = conform({ ...structuredClone(original), ...structuredClone(changes) });
      typed = new Map();
      notice = unreadable.length ? t("problem.link", { value: unreadable.join(", ") }) : "";
      panel.open ||= Object.keys(changes).some((name) => name !== "step");
      update();
      fields.draw();
    }

    /** JSON has no NaN and no infinities: they come as their names. */
    const revive = (value) =>
      Array.isArray(value) ? value.map(revive) : typeof value === "string" ? words.parse(value) : value;

    /** After a change of the state: compute, draw the grids, tell the page. */
    function update({ only = false } = {}) {
      let trouble = null;
      try {
        result = compute(state);
      } catch (error) {
        if (!(error instanceof engine.Problem)) throw error;
        [result, trouble] = [null, error];
      }
      const all = result ? count() : 1;
      state.step = Math.min(Math.max(state.step, 0), all - 1);
      const messages = [notice, ...typed.values(), trouble && sentence(trouble)].filter(Boolean);
      problem.hidden = messages.length === 0;
      problem.textContent = messages.join(" ");
      if (only) drawOutputs();
      else drawGrids();
      drawSize();
      steps.draw();
      light();
      changed(state, original);
    }

    const count = () => model.count(result);
    const place = (step) => model.place(result, step);

    function go(step) {
      if (!result) return;
      state.step = step;
      light();
      steps.draw();
      changed(state, original);
    }

    // ---------------------------------------------------------------- the grids

    const nameOf = (what, c, all) => (all === 1 ? t(what) : t("channel", { name: t(what), c }));
    function kernelName(what, o, c) {
      const [outputsAll, inputs] = [state.K.length, state.K[0].length];
      if (outputsAll === 1) return inputs === 1 ? t(what) : t("kernel.channel", { name: t(what), c });
      return t("kernel.channels", { name: t(what), o, c });
    }

    /** A cell that writes a number of the state. */
    function typing(label, key, numbers, index) {
      const set = (value) => {
        typed.delete(key);
        numbers[index] = value;
        update({ only: true });
      };
      const fail = (value) => {
        typed.set(key, t("problem.cell", { name: label, value }));
        update({ only: true });
      };
      const cell = grids.editable(label, numbers[index], set, fail);
      cell.firstChild.dataset.key = key;
      return cell;
    }

    function drawGrids() {
      const focused = board.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      for (const key of typed.keys()) if (key.includes("/")) typed.delete(key); // the cells are made anew
      cells = {};
      const inputs = state.X.map((channel, c) => drawInput(channel, c));
      const kernels = isPooling(state)
        ? []
        : state.K.map((channels, o) => {
            const shown = channels.map((k, c) => drawKernel(k, o, c));
            if (state.bias) shown.push(sign("+"), drawBias(o));
            return make("div", { class: "set" }, shown);
          });
      const parts = [make("div", { class: "group" }, inputs)];
      if (kernels.length) parts.push(sign("⋆"), make("div", { class: "group kernels" }, kernels));
      if (state.operation === "convolve") parts.push(sign("→"), make("div", { class: "group flipped" }));
      board.replaceChildren(...parts, sign("="), outputs);
      drawOutputs();
      if (focused) board.querySelector(`[data-key="${focused}"]`)?.focus();
    }

    const sign = (text) => make("span", { class: "sign", "aria-hidden": "true" }, text);

    function drawInput(channel, c) {
      const name = nameOf("input", c, state.X.length);
      const [height, width] = sizeOf(state.X);
      // without a result there is no padding to draw
      const rows = result?.axes[0] ?? { before: 0, after: 0, size: height, end: 0, isInside: () => true };
      const columns = result?.axes[1] ?? { before: 0, after: 0, size: width, end: 0, isInside: () => true };
      const reach = (axis) => (result ? model.reachedOn(axis) : new Set(grids.span(0, axis.size)));
      const [reachedRows, reachedColumns] = [reach(rows), reach(columns)];
      const drawn = (axis) => grids.span(-axis.before, Math.max(axis.size + axis.after, axis.end));
      const made = grids.grid(name, drawn(rows), drawn(columns), (i, j) => {
        const inside = rows.isInside(i) && columns.isInside(j);
        const cell = inside
          ? typing(t("cell", { name, i, j }), `X/${c}/${i}/${j}`, channel[i], j)
          : make(
              "td",
              {
                class: rows.isPadded(i) && columns.isPadded(j) ? "pad" : "pad beyond",
                "aria-label": t("what.padding"),
              },
              state.operation === "max" ? "-∞" : "0",
            );
        if (!reachedRows.has(i) || !reachedColumns.has(j)) cell.classList.add("dropped");
        if (inside) {
          for (const kind of ["mouseenter", "focusin"]) cell.addEventListener(kind, () => feed(c, i, j));
          for (const kind of ["mouseleave", "focusout"]) cell.addEventListener(kind, () => light());
        }
        return cell;
      });
      cells[`X/${c}`] = made.cells;
      return made.figure;
    }

    function drawKernel(matrix, o, c) {
      const name = kernelName("kernel", o, c);
      const [height, width] = [matrix.length, matrix[0].length];
      const made = grids.grid(name, engine.range(height), engine.range(width), (i, j) =>
        typing(t("cell", { name, i, j }), `K/${o}.${c}/${i}/${j}`, matrix[i], j),
      );
      cells[`K/${o}/${c}`] = made.cells;
      return made.figure;
    }

    /** The number that is added to every element of an output channel. */
    function drawBias(o) {
      const name = state.K.length === 1 ? t("bias") : t("bias.of", { o });
      const made = grids.grid(name, [0], [0], () => typing(name, `B/${o}`, state.bias, o));
      cells[`B/${o}`] = made.cells;
      made.figure.classList.add("bias");
      return made.figure;
    }

    /** Draw what follows from the numbers: the flipped kernel and the output. */
    function drawOutputs() {
      const focused = outputs.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      const flipped = board.querySelector(".flipped");
      if (flipped) {
        flipped.replaceChildren(
          ...engine.flip(state.K).flatMap((channels, o) =>
            channels.map((k, c) => {
              const name = kernelName("flipped", o, c);
              const made = grids.grid(name, engine.range(k.length), engine.range(k[0].length), (i, j) =>
                grids.shown(t("cell.value", { name, i, j, value: words.short(k[i][j]) }), k[i][j]),
              );
              cells[`F/${o}/${c}`] = made.cells;
              return made.figure;
            }),
          ),
        );
      }
      outputs.replaceChildren(
        ...(result?.Y ?? []).map((channel, o) => {
          const name = nameOf("output", o, result.Y.length);
          const [height, width] = [channel.length, channel[0].length];
          const made = grids.grid(name, engine.range(height), engine.range(width), (i, j) => {
            const step = (o * height + i) * width + j;
            const label = t("cell.value", { name, i, j, value: words.short(channel[i][j]) });
            const cell = grids.shown(label, channel[i][j], { tabindex: "-1" });
            cell.dataset.key = `Y/${o}/${i}/${j}`;
            cell.addEventListener("focus", () => (steps.pause(), go(step)));
            cell.addEventListener("click", () => cell.focus());
            cell.addEventListener("mouseenter", () => light(step));
            cell.addEventListener("mouseleave", () => light());
            return cell;
          });
          cells[`Y/${o}`] = made.cells;
          return made.figure;
        }),
      );
      if (focused) board.querySelector(`[data-key="${focused}"]`)?.focus();
    }

    // ---------------------------------------------------------------- light

    function clear() {
      for (const cell of board.querySelectorAll(".lit, .fed")) cell.classList.remove("lit", "fed");
      feeds.textContent = "";
    }

    /** Light a window and its output, and spell the sum out. */
    function light(step = state.step) {
      clear();
      sum.hidden = !result;
      if (!result) return;
      const [o, i, j] = place(step);
      cells[`Y/${o}`].get(`${i},${j}`).classList.add("lit");
      cells[`B/${o}`]?.get("0,0").classList.add("lit");
      for (const c of channelsOf(state, o)) {
        for (const at of engine.look(...result.axes, i, j))
          cells[`X/${c}`].get(`${at.i},${at.j}`)?.classList.add("lit");
        const used = state.operation === "convolve" ? "F" : "K";
        for (const cell of cells[`${used}/${o}/${c}`]?.values() ?? []) cell.classList.add("lit");
      }
      sum.textContent = spell(state, result, o, i, j);
    }

    /** Light an input element and every output that it feeds. */
    function feed(c, i, j) {
      clear();
      if (!result) return;
      cells[`X/${c}`].get(`${i},${j}`).classList.add("lit");
      let all = 0;
      for (const step of engine.range(count())) {
        const [o, y, x] = place(step);
        if (!channelsOf(state, o).includes(c)) continue;
        if (![...engine.look(...result.axes, y, x)].some((at) => at.i === i && at.j === j)) continue;
        cells[`Y/${o}`].get(`${y},${x}`).classList.add("fed");
        all += 1;
      }
      feeds.textContent = t("feeds", {
        name: t("cell", { name: nameOf("input", c, state.X.length), i, j }),
        count: all,
      });
    }

    // ---------------------------------------------------------------- sizes

    function drawSize() {
      if (!result) return size.replaceChildren();
      const [rows, columns] = result.axes;
      const lines = [rows, columns].map((axis) => {
        const padding = axis.overhang ? `${axis.before + axis.after} + ${axis.overhang}` : axis.before + axis.after;
        const sum = `${axis.size} − ${axis.window} + ${padding} + ${axis.stride}`;
        const numbers = `⌊(${sum}) / ${axis.stride}⌋ = ${axis.outputs}`;
        return make(
          "div",
          { class: "formula" },
          make("dt", {}, t(`axis.${axis.name}`)),
          make("dd", { class: "mono" }, `${t("size.floor")} = ${numbers}`),
        );
      });
      const notes = [];
      const unreached = result.axes.map((axis) => {
        const reached = model.reachedOn(axis);
        return grids.span(-axis.before, axis.size + axis.after).filter((pixel) => !reached.has(pixel)).length;
      });
      for (const axis of result.axes) {
        if (axis.dilation > 1) notes.push(`${t(`axis.${axis.name}`)}: ${t("size.dilated", { window: axis.window })}`);
        if (axis.overhang) notes.push(`${t(`axis.${axis.name}`)}: ${t("size.ceil", { overhang: axis.overhang })}`);
      }
      if (Math.max(...unreached)) notes.push(t("size.dropped", { rows: unreached[0], columns: unreached[1] }));
      size.replaceChildren(
        make("p", { class: "result" }, t("size", { height: rows.outputs, width: columns.outputs })),
        make("dl", {}, lines),
        ...notes.map((note) => make("p", { class: "small muted note" }, note)),
      );
    }

    words.whenSpoken(() => {
      if (!state) return;
      typed = new Map();
      update();
      fields.draw();
    });
    return { show };
  }

  return { create };
})();
