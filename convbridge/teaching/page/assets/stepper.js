/* A stepper: first, back, play, next, last, the arrow keys, a speed. What may live here: going, not where.
 *
 * stepper.create(host) returns { element, draw, pause }. The host has
 *   label       the text that names the group
 *   count()     how many steps there are; 0 if there is nothing to go through
 *   at()        where it stands, from 0
 *   go(step)    what to do at a step; it draws the stepper itself, by draw()
 *   where()     the place in words
 *   quiet(on)   whether to keep silent while it plays, or a screen reader would never be done
 */
const stepper = (() => {
  const SIGNS = { first: "|‹", back: "‹", play: "▶", pause: "❚❚", next: "›", last: "›|" };
  const KEYS = {
    ArrowLeft: "back",
    ArrowUp: "back",
    ArrowRight: "next",
    ArrowDown: "next",
    Home: "first",
    End: "last",
  };
  const SPEEDS = [0.5, 1, 2, 4];

  function create(host) {
    let timer = null;
    let speed = 1;
    const element = make("div", { class: "stepper", role: "group" });
    const where = make("span", { class: "where muted small" });
    const last = () => host.count() - 1;

    function pause() {
      if (timer === null) return;
      clearInterval(timer);
      timer = null;
      host.quiet(false);
      draw();
    }

    /** Play to the last step, and stop there; from the last one, from the start. */
    function play() {
      if (host.at() >= last()) host.go(0);
      host.quiet(true);
      timer = setInterval(() => {
        host.go(Math.min(host.at() + 1, last()));
        if (host.at() >= last()) pause();
      }, 1000 / speed);
      draw();
    }

    const STEPS = {
      first: () => host.go(0),
      back: () => host.go((host.at() + last()) % host.count()),
      play: () => (timer === null ? play() : pause()),
      next: () => host.go((host.at() + 1) % host.count()),
      last: () => host.go(last()),
    };

    function step(name) {
      if (!host.count()) return;
      if (name !== "play") pause();
      STEPS[name]();
    }

    element.addEventListener("keydown", (event) => {
      const name = KEYS[event.key];
      if (!name || event.target instanceof HTMLSelectElement || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      step(name);
    });

    /** Write the buttons anew, in the language that is spoken. */
    function build() {
      element.setAttribute("aria-label", t(host.label));
      const buttons = Object.keys(STEPS).map((name) =>
        make("button", { type: "button", "data-step": name, onclick: () => step(name) }),
      );
      const speeds = SPEEDS.map((value) => make("option", { value, selected: value === speed }, `${value}×`));
      const choice = make(
        "select",
        {
          onchange: () => {
            speed = Number(choice.value);
            if (timer !== null) (pause(), play());
          },
        },
        speeds,
      );
      element.replaceChildren(...buttons, make("label", { class: "small" }, `${t("step.speed")} `, choice), where);
      draw();
    }

    function draw() {
      for (const button of element.querySelectorAll("button")) {
        const name = button.dataset.step === "play" && timer !== null ? "pause" : button.dataset.step;
        button.setAttribute("aria-label", t(`step.${name}`));
        button.title = t(`step.${name}`);
        button.textContent = SIGNS[name];
      }
      where.textContent = host.count() ? host.where() : "";
    }

    words.whenSpoken(build);
    build();
    return { element, draw, pause };
  }

  return { create };
})();
