/* What an element of a feature map sees, drawn: the input with the field, the map with the element, and in words.
 * What may live here: drawing and pointing; the numbers are stack.js's. */
const stackPicture = (() => {
  /** How large one pixel is drawn, so that the whole fits and a few of them do not become huge. */
  const scale = (room, ...sizes) => Math.min(40, room / Math.max(...sizes));

  const rect = (kind, [y, x], [height, width], more = "") =>
    `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}" ${more}/>`;

  /** The lines between pixels, as long as they can be told apart. */
  function lines([height, width], unit) {
    if (unit < 5) return "";
    const across = engine.range(height - 1).map((i) => `M0 ${i + 1}H${width}`);
    const down = engine.range(width - 1).map((j) => `M${j + 1} 0V${height}`);
    return `<path class="lines" d="${[...across, ...down].join("")}"/>`;
  }

  /** Neighbours in a sorted list as [first, how many]. */
  function runs(sorted) {
    const found = [];
    for (const number of sorted) {
      const last = found.at(-1);
      if (last && last[0] + last[1] === number) last[1] += 1;
      else found.push([number, 1]);
    }
    return found;
  }

  function size(svg, [top, left], [height, width], unit) {
    svg.setAttribute("viewBox", [left, top, width, height].join(" "));
    svg.setAttribute("width", Math.round(width * unit));
    svg.setAttribute("height", Math.round(height * unit));
  }

  /** The input. What of a field lies farther out than half of the image is cut off. */
  function drawInput(svg, { state, steps, at }) {
    const used = steps.slice(0, state.chosen);
    const step = used.at(-1);
    const room = Math.max(...state.size) / 2;
    const before = step.start.map((first) => Math.min(Math.max(-first, 0), room));
    const after = step.size.map((count, i) => {
      const end = step.start[i] + (count - 1) * step.jump[i] + step.field[i];
      return Math.min(Math.max(end - state.size[i], 0), room);
    });
    const whole = state.size.map((pixels, i) => pixels + before[i] + after[i]);
    const unit = scale(400, ...whole);
    size(
      svg,
      before.map((pixels) => -pixels),
      whole,
      unit,
    );
    const box = (one, here) => {
      const sides = stack.fieldOf(one, here);
      return [sides.map(([first]) => first), sides.map(([, length]) => length)];
    };
    const [rows, columns] = stack.seen(used, at).map(runs);
    const pieces = rows.flatMap(([y, h]) => columns.map(([x, w]) => `M${x} ${y}h${w}v${h}h${-w}z`));
    const below = stack
      .middles(used, at)
      .slice(1)
      .map((here, i) => rect("nested", ...box(used[used.length - 2 - i], here)));
    svg.innerHTML = [
      `<defs><pattern id="field-hatch" width="7" height="7" patternUnits="userSpaceOnUse"`,
      ` patternTransform="scale(${1 / unit}) rotate(45)"><path class="hatch" d="M0 0V7"/></pattern></defs>`,
      rect(
        "room",
        before.map((pixels) => -pixels),
        whole,
      ),
      rect("image", [0, 0], state.size),
      rect("field", ...box(step, at), 'fill="url(#field-hatch)"'),
      `<path class="seen" d="${pieces.join("")}"/>`,
      lines(state.size, unit),
      rect("frame", [0, 0], state.size),
      rect("field outline", ...box(step, at)),
      ...below,
    ].join("");
  }

  function drawMap(svg, { state, steps, at }) {
    const step = steps[state.chosen - 1];
    const unit = scale(280, ...step.size);
    size(svg, [0, 0], step.size, unit);
    svg.innerHTML = [
      rect("image", [0, 0], step.size),
      lines(step.size, unit),
      rect("frame", [0, 0], step.size),
      rect("element", at, [1, 1]),
    ].join("");
  }

  /** Where on a drawing a pointer is, in pixels of the image. */
  function pointed(svg, event) {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [y, x];
  }

  /** Call `act` with where a pointer goes down and where it is dragged to. */
  function whenPointed(svg, act) {
    svg.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      svg.setPointerCapture(event.pointerId);
      act(pointed(svg, event));
    });
    svg.addEventListener("pointermove", (event) => {
      if (svg.hasPointerCapture(event.pointerId)) act(pointed(svg, event));
    });
  }

  function drawing(kind) {
    const box = make("div", { class: `drawing ${kind}` });
    box.innerHTML = "<svg></svg>";
    return [box, box.firstChild];
  }

  /** Build the picture. The host has `state`, `steps`, `at`, `typed`, `update`, and `move` to another element. */
  function create(root, host) {
    const [inputBox, input] = drawing("of-input");
    const [mapBox, map] = drawing("of-map");
    const captions = [make("figcaption"), make("figcaption")];
    const said = make("div", { class: "said", "aria-live": "polite" });
    const where = make("div", { class: "where-fields controls" });
    const legend = make("ul", { class: "legend small" });
    const words_ = make("div", { class: "in-words" }, said, where, legend);
    root.append(make("figure", {}, captions[0], inputBox), make("figure", {}, captions[1], mapBox), words_);
    map.setAttribute("tabindex", "0");
    map.setAttribute("role", "application");
    input.setAttribute("role", "img");

    const step = () => host.steps[host.state.chosen - 1];
    const inside = (at) => at.map((o, i) => Math.min(Math.max(o, 0), step().size[i] - 1));
    const go = (at) => host.move(inside(at));

    whenPointed(map, (place) => go(place.map(Math.floor)));
    whenPointed(input, (place) => {
      const { start, field, jump } = step();
      go(place.map((pixel, i) => Math.round((pixel - field[i] / 2 - start[i]) / jump[i])));
    });
    map.addEventListener("keydown", (event) => {
      const [i, j] = host.at;
      const goal = {
        ...{ ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1] },
        ...{ PageUp: [i - 10, j], PageDown: [i + 10, j], Home: [i, 0], End: [i, Infinity] },
      }[event.key];
      if (!goal || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      go(goal);
    });

    let fieldsFor = ""; // the language and the size that the fields for row and column were made for

    function drawFields() {
      const sizes = step().size;
      const key = [words.language, ...sizes].join();
      if (key !== fieldsFor) {
        for (const name of ["at.row", "at.column"]) host.typed.delete(name);
        const fields = ["row", "column"].map((name, i) =>
          controls.wholeNumber(host, `at.${name}`, t(`at.${name}`), "element", 0, 0, sizes[i] - 1, (value) =>
            host.choose(host.at.with(i, value)),
          ),
        );
        where.replaceChildren(make("fieldset", {}, make("legend", {}, t("what.element")), ...fields));
        fieldsFor = key;
      }
      for (const [i, one] of [...where.querySelectorAll("input")].entries()) {
        if (one === document.activeElement) continue;
        one.value = host.at[i];
        one.setAttribute("aria-valuenow", host.at[i]);
        one.removeAttribute("aria-invalid");
        host.typed.delete(["at.row", "at.column"][i]);
      }
    }

    function drawWords() {
      const { state, at } = host;
      const { field, jump } = step();
      const sides = stack.fieldOf(step(), at);
      const [rows, columns] = stack.seen(host.steps.slice(0, state.chosen), at);
      const count = rows.length * columns.length;
      const all = field[0] * field[1];
      const last = ([first, length]) => words.spoken(first + length - 1);
      const lines = [
        make("p", { class: "sees" }, t("sees", { layer: state.chosen, height: field[0], width: field[1] })),
        make(
          "p",
          {},
          t("sees.here", {
            ...{ i: at[0], j: at[1], top: words.spoken(sides[0][0]), bottom: last(sides[0]) },
            ...{ left: words.spoken(sides[1][0]), right: last(sides[1]) },
          }),
        ),
      ];
      if (count < all) {
        const [some, total] = [count, all].map(stackEditor.counted);
        lines.push(make("p", { class: "less" }, t("sees.less", { count: some, all: total })));
      }
      if (count === state.size[0] * state.size[1]) lines.push(make("p", { class: "whole" }, t("sees.whole")));
      if (Math.max(...step().size) > 1) {
        lines.splice(1, 0, make("p", {}, t("sees.next", { rows: jump[0], columns: jump[1] })));
      }
      said.replaceChildren(...lines);
      const entries = ["element", "seen", ...(count < all ? ["field"] : []), ...(state.chosen > 1 ? ["nested"] : [])];
      legend.replaceChildren(
        ...entries.map((name) =>
          make("li", {}, make("span", { class: `swatch ${name}`, "aria-hidden": "true" }), t(`legend.${name}`)),
        ),
      );
    }

    /** Draw what is chosen; nothing, if its layer is impossible. */
    function draw() {
      root.hidden = !step();
      if (root.hidden) return;
      const { state } = host;
      captions[0].textContent = `${t("input")}: ${stackEditor.by(state.depth, ...state.size)}`;
      captions[1].textContent = t("map", {
        layer: state.chosen,
        size: stackEditor.by(step().channels, ...step().size),
      });
      drawInput(input, host);
      drawMap(map, host);
      drawFields();
      drawWords();
      input.setAttribute("aria-label", said.firstChild.textContent);
      map.setAttribute("aria-label", `${captions[1].textContent}. ${t("map.keys")}`);
    }

    return { draw };
  }

  return { create };
})();
