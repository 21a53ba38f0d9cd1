/* What can be changed about an explorer beside its numbers: operation, sizes, stride, dilation, padding, flags. */
const controls = (() => {
  const { isPooling, resize, sentence, setInputs, setOutputs, sizeOf } = model;

  /**
   * Build the controls in an element. The host has the explorer's `state`, its `result` or null, `typed`, where what
   * is wrong with an input is written, `update` for after a change, and `restore`.
   */
  function create(root, host) {
    const whole = (...given) => wholeNumber(host, ...given);
    const field = (name, ...children) => make("fieldset", {}, make("legend", {}, t(name)), ...children);
    const axesOf = (key, what, values, minimum, maximum, set) =>
      ["height", "width"].map((side, axis) =>
        whole(`${key}.${side}`, t(`side.${side}`), what, values[axis], minimum, maximum, (value) => set(axis, value)),
      );

    /** Draw the fields anew, without what was wrong in them. */
    function anew() {
      for (const key of host.typed.keys()) if (!key.includes("/")) host.typed.delete(key);
      host.update();
      draw();
    }

    function draw() {
      const { state } = host;
      const pooling = isPooling(state);
      const operation = make(
        "select",
        {
          "aria-label": t("control.operation"),
          onchange: () => {
            state.operation = operation.value;
            anew();
            root.querySelector("select").focus();
          },
        },
        ["correlate", "convolve", "max", "avg"].map((value) =>
          make("option", { value, selected: value === state.operation }, t(`operation.${value}`)),
        ),
      );
      const word = typeof state.padding === "string" ? state.padding : "numbers";
      const padding = make(
        "select",
        {
          "aria-label": t("control.padding"),
          onchange: () => {
            const sides = host.result
              ? host.result.axes.map((axis) => [axis.before, axis.after])
              : [
                  [0, 0],
                  [0, 0],
                ];
            state.padding = padding.value === "numbers" ? sides : padding.value;
            anew();
            root.querySelectorAll("select")[1].focus();
          },
        },
        ["numbers", ...engine.PADDING_WORDS].map((value) =>
          make("option", { value, selected: value === word }, t(`padding.${value}`)),
        ),
      );
      const flag = (name, key) => {
        const box = make("input", {
          type: "checkbox",
          checked: state[name],
          onchange: () => ((state[name] = box.checked), host.update()),
        });
        return make("label", { class: "check" }, box, ` ${t(key)}`);
      };
      const setSize = (axis, value) => {
        const wanted = sizeOf(state.X);
        wanted[axis] = value;
        state.X = state.X.map((channel) => resize(channel, wanted));
      };
      const setKernel = (axis, value) => {
        const wanted = sizeOf(state.K[0]);
        wanted[axis] = value;
        state.K = state.K.map((channels) => channels.map((k) => resize(k, wanted)));
      };
      const channels = (key, label, count, set) =>
        whole(`c.${key}`, t(label), "channels", count, 1, link.LIMITS.channels, (value) => set(state, value));
      const bias = make("input", {
        ...{ type: "checkbox", checked: Boolean(state.bias) },
        onchange: () => ((state.bias = bias.checked ? state.K.map(() => 0) : null), host.update()),
      });
      const sides =
        word === "numbers"
          ? [
              ["top", 0, 0],
              ["bottom", 0, 1],
              ["left", 1, 0],
              ["right", 1, 1],
            ].map(([side, axis, end]) =>
              whole(
                `p.${side}`,
                t(`side.${side}`),
                "padding",
                state.padding[axis][end],
                0,
                link.LIMITS.padding,
                (value) => (state.padding[axis][end] = value),
              ),
            )
          : [];
      const L = link.LIMITS;
      root.replaceChildren(
        make("summary", {}, t("controls")),
        make(
          "div",
          { class: "fields" },
          field("control.operation", operation),
          field("control.size", ...axesOf("x", "size", sizeOf(state.X), 1, L.size, setSize)),
          field(
            "control.kernel",
            ...axesOf("k", pooling ? "window" : "kernel", sizeOf(state.K[0]), 1, L.kernel, setKernel),
          ),
          field(
            "control.channels",
            channels("in", "channels.in", state.X.length, setInputs),
            pooling ? null : channels("out", "channels.out", state.K.length, setOutputs),
          ),
          pooling ? null : field("control.bias", make("label", { class: "check" }, bias, ` ${t("bias.added")}`)),
          field(
            "control.stride",
            ...axesOf("s", "stride", state.stride, 1, L.stride, (axis, value) => (state.stride[axis] = value)),
          ),
          field(
            "control.dilation",
            ...axesOf("d", "dilation", state.dilation, 1, L.dilation, (axis, value) => (state.dilation[axis] = value)),
          ),
          field("control.padding", padding, ...sides),
          pooling
            ? make(
                "div",
                { class: "flags" },
                flag("ceil", "control.ceil"),
                state.operation === "avg" ? flag("counted", "control.counted") : null,
              )
            : null,
        ),
        make("button", { type: "button", class: "restore", onclick: host.restore }, t("restore")),
      );
    }

    return { draw };
  }

  /** A field for a whole number; what it cannot be is said, and the last number stays. The host is that of create(). */
  function wholeNumber(host, key, label, what, value, minimum, maximum, set) {
    const input = make("input", {
      ...{
        type: "text",
        inputmode: "numeric",
        role: "spinbutton",
        value,
        "aria-label": `${t(`what.${what}`)}, ${label}`,
        autocomplete: "off",
      },
      ...{ "aria-valuenow": value, "aria-valuemin": minimum, "aria-valuemax": maximum },
    });
    function take(text) {
      const number = /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : NaN;
      let trouble = null;
      if (!(number >= minimum)) trouble = { code: "whole", values: { what, minimum, value: text.trim() || "?" } };
      else if (number > maximum) trouble = { code: "limit", values: { what, maximum, value: number } };
      if (trouble) {
        input.setAttribute("aria-invalid", "true");
        host.typed.set(key, sentence(trouble));
      } else {
        input.removeAttribute("aria-invalid");
        input.setAttribute("aria-valuenow", number);
        host.typed.delete(key);
        set(number);
      }
      host.update();
    }
    input.addEventListener("input", () => take(input.value));
    input.addEventListener("keydown", (event) => {
      const change = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (!change) return;
      event.preventDefault();
      const next = Math.min(Math.max((Number.parseInt(input.value, 10) || 0) + change, minimum), maximum);
      input.value = next;
      take(String(next));
    });
    return make("label", { class: "small" }, `${label} `, input);
  }

  return { create, wholeNumber };
})();
