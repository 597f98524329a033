// The controls of a correction: modes, thresholds as sliders beside numbers, and presets.
(function () {
  "use strict";
  const rolloutwatch = (window.rolloutwatch = window.rolloutwatch || {});
  const whatif = (rolloutwatch.whatif = rolloutwatch.whatif || {});
  const { element } = rolloutwatch;

  const ALONE = ["token", "sequence", "geometric"];
  const STEP_OF_A_SLIDER = 0.02;
  const OWN = "own";
  const CHANGED = "";
  // where an option begins that was never set
  const USUAL = {
    token: ["", "2"], sequence: ["", "2"], geometric: ["", "1.001"],
    token_k1: ["0.5", "2"], token_k2: ["", "0.24"], token_k3: ["", "0.2"],
    seq_sum_k1: ["0.5", "2"], seq_sum_k2: ["", "1"], seq_sum_k3: ["", "1"],
    seq_mean_k1: ["0.999", "1.001"], seq_mean_k2: ["", "0.01"], seq_mean_k3: ["", "0.01"],
    seq_max_k2: ["", "42.4"], seq_max_k3: ["", "10"],
  };
  // what is compared, of ratios, and of divergences, which are added up
  const OF_RATIOS = { token: "tokens, each by itself", sequence: "sequences, by their product", geometric: "sequences, by their geometric mean" };
  const OF_DIVERGENCES = {
    token: "tokens, each by itself", sequence: "sequences, by their sum", geometric: "sequences, by their mean", seq_max: "sequences, by their worst token",
  };
  const USUAL_VETO = "0.0001";

  whatif.Controls = class {
    // told: what the page was told; keys: where to begin; changed(): called when something is set
    constructor(root, told, keys, changed) {
      Object.assign(this, { root, told, changed });
      this.take(keys);
    }

    keys() {
      return whatif.write(this.set);
    }

    take(keys) {
      this.set = whatif.read(keys, this.set);
      this.render();
    }

    change(what) {
      what(this.set);
      this.render();
      this.changed();
    }

    // Everything anew; who was at a control stays there.
    render() {
      const at = this.root.contains(document.activeElement) ? document.activeElement.id : "";
      this.root.replaceChildren(element("h2", {}, "Correction"), ...this.start(), this.weights(), this.rejection(), this.veto(), this.loss());
      if (at && document.getElementById(at)) document.getElementById(at).focus({ preventScroll: true });
    }

    // What the server says of a configuration that cannot be, beside the control whose key it names first.
    refuse(text) {
      for (const old of this.root.querySelectorAll(".wrong")) old.remove();
      for (const field of this.root.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
      if (!text) return;
      const key = (text.match(/rollout_[a-z_]+|bypass_mode|loss_type/) || [""])[0];
      const groups = Array.from(this.root.querySelectorAll("fieldset"));
      const group = groups.find((one) => one.dataset.keys.split(" ").some((beginning) => key.startsWith(beginning))) || groups[0];
      group.append(element("p", { class: "wrong", role: "alert" }, text));
      for (const field of group.querySelectorAll(`input[type=text]`)) if (key.startsWith(field.dataset.key)) field.setAttribute("aria-invalid", "true");
    }

    start() {
      const now = JSON.stringify(this.keys());
      const same = (keys) => JSON.stringify(whatif.write(whatif.read(keys))) === now;
      const known = same(this.told.own) ? OWN : (this.told.presets.find(({ keys }) => same(keys)) || { name: CHANGED }).name;
      const select = element("select", { id: "whatif-start" });
      if (known === CHANGED) select.append(element("option", { value: CHANGED, selected: true }, "what is set below"));
      select.append(element("option", { value: OWN, selected: known === OWN }, "the run's own"));
      for (const group of new Set(this.told.presets.map((one) => one.group))) {
        const options = this.told.presets.filter((one) => one.group === group);
        select.append(
          element("optgroup", { label: group }, ...options.map(({ name }) => element("option", { value: name, selected: name === known }, name))),
        );
      }
      select.addEventListener("change", () => this.begin(select.value));
      const preset = this.told.presets.find(({ name }) => name === known);
      const summary = known === OWN ? this.told.problem || "As the run was corrected." : preset ? preset.summary : "";
      return [
        element("div", { class: "choice" }, element("label", { for: "whatif-start" }, "Begin with"), select),
        element("p", { class: "quiet" }, summary),
      ];
    }

    begin(name) {
      if (name === CHANGED) return;
      const preset = this.told.presets.find((one) => one.name === name);
      this.take(preset ? preset.keys : this.told.own);
      this.changed();
    }

    weights() {
      const { set } = this;
      const isOn = set.rollout_is !== "";
      const mode = set.rollout_is_mode || "truncate";
      const kind = set.rollout_is === "geometric" ? "mean" : "ratio";
      const rows = [
        this.choice("rollout_is_mode", "Out of bounds", mode, [["truncate", "truncate"], ["mask", "mask"]], (value) => (set.rollout_is_mode = value)),
        this.bound("rollout_is_threshold", "Upper bound", `${kind} upper`, set.rollout_is_threshold, (said) => (set.rollout_is_threshold = said)),
        this.lower("rollout_is_threshold_lower", kind, set.rollout_is_threshold, set.rollout_is_threshold_lower, (said) => (set.rollout_is_threshold_lower = said)),
        element("p", { class: "quiet" }, mode === "mask" ? "Weights out of bounds are 0." : "Weights are cut at the upper bound; the lower one is for figures alone."),
        this.check("rollout_is_batch_normalize", "Normalise over the batch", "Divides by the mean; changes none of these figures."),
      ];
      const levels = [["", "none"], ["token", "token"], ["sequence", "sequence"], ["geometric", "geometric"]];
      const level = this.choice("rollout_is", "Level", set.rollout_is, levels, (value) => (set.rollout_is = value));
      return this.group("Weights", "rollout_is", level, ...(isOn ? rows : []));
    }

    rejection() {
      const { set } = this;
      const kind = !set.options.length ? "" : ALONE.includes(set.options[0]) && set.options.length === 1 ? set.options[0] : "combined";
      const kinds = [["", "none"], ...ALONE.map((name) => [name, name]), ["combined", "k1, k2, k3"]];
      const choose = (value) => this.choose(value === "combined" ? ["seq_mean_k3"] : value ? [value] : []);
      const level = this.choice("rollout_rs", "By", kind, kinds, choose);
      const shown = set.options.filter((name) => Object.hasOwn(this.told.rejections, name));
      const said = set.options.length ? [] : [element("p", { class: "quiet" }, "Nothing is rejected.")];
      return this.group("Rejection", "rollout_rs", level, ...(kind === "combined" ? [this.combined()] : []), ...shown.map((name) => this.option(name)), ...said);
    }

    choose(names) {
      this.set.options = names;
      for (const name of names) {
        const [lower, upper] = USUAL[name] || ["", ""];
        this.set.bounds[name] = this.set.bounds[name] || { lower, upper };
      }
    }

    combined() {
      const names = Object.keys(this.told.rejections).filter((name) => !ALONE.includes(name));
      const isKnown = (name) => names.includes(name);
      const boxes = names.map((name) => {
        const box = element("input", { type: "checkbox", id: `whatif-rs-${name}`, checked: this.set.options.includes(name) });
        box.addEventListener("change", () => {
          const on = this.set.options.filter((other) => isKnown(other) && other !== name).concat(box.checked ? [name] : []);
          this.change(() => this.choose(names.filter((other) => on.includes(other))));
        });
        return element("label", { class: "option" }, box, name);
      });
      return element("div", { class: "options", role: "group", "aria-label": "What is compared" }, ...boxes);
    }

    option(name) {
      const [level, statistic] = this.told.rejections[name];
      const bounds = this.set.bounds[name];
      const hasLower = statistic === "ratio" || statistic === "k1";
      const kind = level === "geometric" ? "mean" : "ratio";
      const upper = this.bound("rollout_rs_threshold", `Upper bound, ${name}`, hasLower ? `${kind} upper` : "divergence", bounds.upper, (said) => (bounds.upper = said), name);
      const lower = hasLower ? this.lower("rollout_rs_threshold", kind, bounds.upper, bounds.lower, (said) => (bounds.lower = said), name) : null;
      const rejects = `Rejects ${(hasLower ? OF_RATIOS : OF_DIVERGENCES)[level]}, ${hasLower ? "out of these bounds" : "above this bound"}.`;
      const heading = ALONE.includes(name) ? null : element("strong", {}, name);
      return element("div", { class: "of-option" }, heading, element("p", { class: "quiet" }, rejects), upper, lower);
    }

    veto() {
      const key = "rollout_token_veto_threshold";
      const isOn = this.set[key] !== "";
      if (isOn) this.lastVeto = this.set[key];
      const choose = (value) => (this.set[key] = value ? this.lastVeto || USUAL_VETO : "");
      const level = this.choice("veto", "Veto", isOn ? "on" : "", [["", "off"], ["on", "on"]], choose);
      const row = this.bound(key, "A ratio below", "veto", this.set[key], (said) => (this.set[key] = said));
      const said = element("p", { class: "quiet" }, "A single token below it takes out its sequence.");
      return this.group("Veto", key, level, ...(isOn ? [row, said] : []));
    }

    loss() {
      const { set } = this;
      const types = [["ppo_clip", "ppo_clip"], ["reinforce", "reinforce"]];
      return this.group(
        "Loss",
        "bypass_mode loss_type",
        this.check("bypass_mode", "Bypass mode", ""),
        this.choice("loss_type", "Loss in bypass mode", set.loss_type, types, (value) => (set.loss_type = value)),
        element("p", { class: "quiet" }, "Changes none of these figures; it is for the YAML."),
      );
    }

    group(title, keys, ...rows) {
      return element("fieldset", { "data-keys": keys }, element("legend", {}, title), ...rows.filter(Boolean));
    }

    // One of a few, side by side.
    choice(key, label, value, choices, set) {
      const buttons = choices.flatMap(([one, text]) => {
        const id = `whatif-${key}-${one || "none"}`;
        const radio = element("input", { type: "radio", name: `whatif-${key}`, id, value: one, checked: one === value });
        radio.addEventListener("change", () => this.change(() => set(one)));
        return [radio, element("label", { for: id }, text)];
      });
      return element("div", { class: "segments", role: "radiogroup", "aria-label": label }, ...buttons);
    }

    check(key, label, hint) {
      const box = element("input", { type: "checkbox", id: `whatif-${key}`, checked: this.set[key] === "true" });
      box.addEventListener("change", () => this.change((set) => (set[key] = String(box.checked))));
      return element("div", { class: "check" }, element("label", { class: "option" }, box, label), hint ? element("span", { class: "quiet" }, hint) : null);
    }

    // A threshold: a slider of powers of ten, and beside it the number, which may be any.
    bound(key, label, kind, said, set, name, empty) {
      const id = `whatif-${key}-${name || ""}${kind.endsWith("lower") ? "-lower" : ""}`;
      const slider = whatif.slider(kind);
      const range = element("input", { type: "range", id: `${id}-slider`, min: slider.low, max: slider.high, step: STEP_OF_A_SLIDER, "aria-label": `${label}, as a slider` });
      const field = element("input", { type: "text", id, inputmode: "decimal", autocomplete: "off", spellcheck: "false", maxlength: 40, "data-key": key, placeholder: empty || "" });
      const put = () => {
        range.value = slider.place(field.value) ?? slider.place(empty || "") ?? slider.low;
        range.setAttribute("aria-valuetext", field.value || empty || "none");
      };
      field.value = said;
      put();
      range.addEventListener("input", () => {
        field.value = slider.said(Number(range.value));
        range.setAttribute("aria-valuetext", field.value);
        set(field.value);
        this.moved();
      });
      field.addEventListener("input", () => {
        set(field.value.trim());
        put();
        this.moved();
      });
      return element("div", { class: "bound" }, element("label", { for: id }, label.split(",")[0]), range, field);
    }

    // A lower bound, which is 1 / upper as long as nothing else is said.
    lower(key, kind, upper, said, set, name) {
      const reciprocal = Number(upper) > 0 ? String(Number((1 / Number(upper)).toPrecision(4))) : "";
      return this.bound(key, `Lower bound${name ? `, ${name}` : ""}`, `${kind} lower`, said, set, name, reciprocal);
    }

    // A number was set: the other controls stay as they are, but for what they say of it.
    moved() {
      const select = this.root.querySelector("#whatif-start");
      if (select && select.value !== CHANGED) {
        const [label, summary] = this.start();
        this.root.querySelector(".choice").replaceWith(label);
        this.root.querySelector(".choice + p").replaceWith(summary);
      }
      this.changed();
    }
  };
})();
