"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const axes = {rollouts: "rollouts", steps: "steps", wall: "wall time", train: "training time"};
  const titles = {"reward/mean": "mean reward", accuracy: "training accuracy", "length/mean": "completion length (tokens)",
    entropy: "entropy (nats)", "groups/dead_share": "dead groups (share)", grad_norm: "gradient norm", "kl/sampler": "KL sampler ‖ trainer",
    truncated: "truncated completions", "speed/rollout_tokens_per_s": "sampling speed (tokens/s)"};
  const state = {axis: "rollouts", smooth: 0, hidden: new Set()};
  let charts = [];

  function make(tag, attributes = {}, children = []) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (key === "html") element.innerHTML = value;
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  // Up to eight arms get the hues of a palette, more arms hues a golden angle apart. The lightness follows the page's light or dark scheme.
  const palette = [215, 5, 130, 275, 35, 180, 320, 60];
  const colour = (i, alpha = 1) => {
    const hue = data.arms.length <= palette.length ? palette[i] : (215 + i * 137.5) % 360;
    return `hsla(${hue}, 70%, ${dark.matches ? 66 : 42}%, ${alpha})`;
  };

  const duration = (s) => (s >= 7200 ? `${+(s / 3600).toPrecision(3)} h` : s >= 120 ? `${+(s / 60).toPrecision(3)} min` : `${+s.toPrecision(3)} s`);
  const short = (v) => (v == null ? "" : Math.abs(v) >= 1e4 ? count(v) : String(+v.toPrecision(4)));
  const count = (v) => (Math.abs(v) >= 1e6 ? `${+(v / 1e6).toPrecision(3)}M` : Math.abs(v) >= 1e4 ? `${+(v / 1e3).toPrecision(3)}k` : String(+v.toPrecision(4)));
  const position = (v) => (state.axis === "wall" || state.axis === "train" ? duration(v) : count(v));

  // Exponential moving average with a bias correction, so that the first points are not pulled to zero.
  function smoothed(values) {
    let mean = 0, weight = 0;
    return values.map((value) => {
      if (value == null) return null;
      mean = state.smooth * mean + (1 - state.smooth) * value;
      weight = state.smooth * weight + (1 - state.smooth);
      return mean / weight;
    });
  }

  // uPlot wants the same x values for all lines. So each arm gets values at the positions of all arms, on straight lines between its own points.
  function at(positions, xs, ys) {
    const known = xs.map((x, i) => i).filter((i) => ys[i] != null);
    let next = 0;
    return positions.map((x) => {
      while (next < known.length && xs[known[next]] < x) ++next;
      if (next === known.length) return null;
      const b = known[next], a = known[Math.max(0, next - 1)];
      if (xs[b] === x || a === b) return xs[b] === x ? ys[b] : null;
      return ys[a] + (ys[b] - ys[a]) * (x - xs[a]) / (xs[b] - xs[a]);
    });
  }

  // Markers stand where the arm has a value of its own, not where its line was interpolated for another arm's position.
  const own_places = (xs, own) => xs.flatMap((x, i) => (own.has(x) ? [i] : []));

  // A constant curve gets a range of half its value in both directions; differences below 1e-9 count as constant.
  function y_range(low, high) {
    if (low == null || (low === 0 && high === 0)) return [0, 1];
    if (high - low > 1e-9) return uPlot.rangeNum(low, high, .08, true);
    const half = Math.max(Math.abs(high) / 2, 1e-9);
    return [low < 0 ? low - half : Math.max(0, low - half), high + half];
  }

  // The interval of few seeds can include values that the metric cannot have: below zero, or above one for a share.
  function possible(metric, means) {
    const low = means.every((v) => v >= 0) ? 0 : -Infinity;
    const high = /@|accuracy|share/.test(metric) ? 1 : Infinity;
    return (v) => Math.min(high, Math.max(low, v));
  }

  function table(metric) {
    const shown = data.arms.map((arm, i) => ({arm, i, series: arm.series[metric]})).filter((one) => one.series && !state.hidden.has(one.i));
    const xs = [...new Set(shown.flatMap(({arm, series}) => arm.x[state.axis].filter((x, k) => series.mean[k] != null)))].sort((a, b) => a - b);
    const columns = [xs], series = [{}], bands = [], points = [];
    const inside = possible(metric, shown.flatMap(({series: {mean}}) => mean.filter((v) => v != null)));
    for (const {arm, i, series: {mean, half}} of shown) {
      const own = new Set(arm.x[state.axis].filter((x, k) => mean[k] != null));
      columns.push(at(xs, arm.x[state.axis], smoothed(mean)));
      series.push({label: arm.name, stroke: colour(i), width: 1.8, arm: i, spanGaps: true, points: {show: own.size < 40, size: 5, filter: (u, s, shown) => (shown ? own_places(xs, own) : null)}});
      points.push(columns.length - 1);
      if (!half) continue;
      for (const sign of [1, -1]) {
        columns.push(at(xs, arm.x[state.axis], smoothed(mean.map((v, k) => (v == null || half[k] == null ? null : inside(v + sign * half[k]))))));
        series.push({stroke: "transparent", width: 0, points: {show: false}, spanGaps: true});
      }
      bands.push({series: [columns.length - 2, columns.length - 1], fill: colour(i, .16)});
    }
    return {columns, series, bands, points};
  }

  // The band's upper edge is the series after the mean's.
  function spread(u, s, idx) {
    const upper = u.series[s + 1];
    return upper && upper.arm === undefined && u.data[s + 1][idx] != null ? ` ± ${+(u.data[s + 1][idx] - u.data[s][idx]).toPrecision(2)}` : "";
  }

  function tooltip(u, figure, tip, points) {
    const {idx, left, top} = u.cursor;
    const rows = idx == null || left < 0 ? [] : points.filter((s) => u.data[s][idx] != null);
    tip.hidden = rows.length === 0;
    if (tip.hidden) return;
    const near = (s) => Math.abs(u.valToPos(u.data[s][idx], "y") - top);
    const nearest = rows.sort((a, b) => near(a) - near(b)).slice(0, 8).sort((a, b) => u.data[b][idx] - u.data[a][idx]);
    tip.replaceChildren(make("b", {}, [`${position(u.data[0][idx])}${state.axis === "steps" || state.axis === "rollouts" ? " " + axes[state.axis] : ""}`]),
      ...nearest.map((s) => make("div", {}, [make("span", {class: "key", style: `background:${colour(u.series[s].arm)}`}),
        make("span", {}, [u.series[s].label]), make("b", {}, [short(u.data[s][idx]) + spread(u, s, idx)])])));
    // The tip stands on the side with more room and never reaches beyond the figure.
    const x = left + u.over.offsetLeft + 10, right = x < figure.clientWidth / 2;
    tip.style.left = right ? `${x + 12}px` : "";
    tip.style.right = right ? "" : `${figure.clientWidth - x + 12}px`;
    tip.style.maxWidth = `${(right ? figure.clientWidth - x : x) - 16}px`;
    tip.style.top = `${u.over.offsetTop + 34}px`;
  }

  // Zooming one chart zooms all, since they share the horizontal axis.
  let zooming = false;
  function share_zoom(u, key) {
    if (key !== "x" || zooming || charts.length < 2) return;
    zooming = true;
    for (const chart of charts) if (chart.plot !== u) chart.plot.setScale("x", {min: u.scales.x.min, max: u.scales.x.max});
    zooming = false;
  }

  function draw(chart) {
    chart.plot?.destroy();
    const {columns, series, bands, points} = table(chart.metric);
    chart.figure.hidden = series.length === 1;
    chart.plot = null;
    if (chart.figure.hidden) return;
    const axis = {stroke: css("--dim"), grid: {stroke: css("--line"), width: 1}, ticks: {stroke: css("--line"), width: 1}, font: "12px system-ui, sans-serif"};
    chart.plot = new uPlot({
      width: chart.figure.clientWidth - 20, height: 230, series, bands, legend: {show: false},
      scales: {x: {time: false}, y: {range: (u, low, high) => y_range(low, high)}},
      axes: [{...axis, values: (u, ticks) => ticks.map(position)}, {...axis, size: 58, values: (u, ticks) => ticks.map(short)}],
      cursor: {sync: {key: "steps"}, drag: {x: true, y: false, uni: 8}, points: {show: (u, s) => points.includes(s) && undefined}},
      hooks: {setCursor: [(u) => tooltip(u, chart.figure, chart.tip, points)], setScale: [(u, key) => u.status && share_zoom(u, key)]},
    }, columns, chart.box);
    chart.plot.over.addEventListener("mouseleave", () => { chart.tip.hidden = true; });
  }

  function draw_all() {
    for (const chart of charts) draw(chart);
  }

  function controls() {
    const choice = ([axis, name]) => make("label", {}, [
      Object.assign(make("input", {type: "radio", name: "axis", value: axis, onchange: () => { state.axis = axis; draw_all(); }}), {checked: axis === state.axis}), name]);
    const slider = make("input", {type: "range", min: 0, max: .98, step: .02, value: 0, "aria-label": "smoothing",
      oninput: (event) => { state.smooth = +event.target.value; draw_all(); }});
    return make("div", {class: "controls"}, [
      make("fieldset", {}, [make("legend", {}, ["over"]), ...Object.entries(axes).map(choice)]),
      make("label", {}, ["smoothing", slider]), make("button", {onclick: draw_all}, ["whole range"])]);
  }

  function arm_buttons() {
    return make("div", {class: "arms"}, data.arms.map((arm, i) => make("button", {"aria-pressed": "true", onclick: (event) => {
      if (!state.hidden.delete(i)) state.hidden.add(i);
      event.currentTarget.setAttribute("aria-pressed", String(!state.hidden.has(i)));
      draw_all();
    }}, [make("span", {class: "key", "data-arm": i, style: `background:${colour(i)}`}), arm.seeds > 1 ? `${arm.name} (mean of ${arm.seeds} seeds, 95 % band)` : arm.name])));
  }

  function curves() {
    const section = document.getElementById("curves");
    const metrics = data.metrics.filter((metric) => data.arms.some((arm) => arm.series[metric]));
    if (metrics.length === 0) { section.append(make("p", {class: "note"}, ["No step has finished yet."])); return; }
    const grid = make("div", {class: "charts"});
    section.append(controls(), arm_buttons(), make("p", {class: "hint"}, ["Drag to zoom all charts, double-click for the whole range, click a name to hide it."]), grid);
    for (const metric of metrics) {
      const box = make("div"), tip = make("div", {class: "tip", hidden: ""});
      const figure = make("figure", {"data-metric": metric}, [make("figcaption", {}, [titles[metric] || metric.replace(/^eval\//, "")]), box, tip]);
      grid.append(figure);
      charts.push({metric, figure, box, tip, plot: null});
    }
    draw_all();
    let width = grid.clientWidth;
    addEventListener("resize", () => { if (grid.clientWidth !== width) { width = grid.clientWidth; draw_all(); } });
    dark.addEventListener("change", () => {
      for (const key of document.querySelectorAll(".key[data-arm]")) key.style.background = colour(+key.dataset.arm);
      draw_all();
    });
  }

  const fact = (name, value, kind) => make("span", {}, [`${name} `, make("b", {class: kind || "", html: latex.answer(String(value))})]);

  function completion(one) {
    const number = (v) => (typeof v === "number" ? (+v.toFixed(3)).toString().replace("-", "−") : v);
    return make("div", {class: `completion ${one.verdict === "right" ? "right" : "wrong"}`}, [
      make("div", {class: "facts"}, [fact("verdict", one.verdict, "verdict-word"), fact("answer", one.answer || "none"), fact("reward", number(one.reward)),
        fact("advantage", number(one.advantage)), fact("tokens", one.tokens + (one.finish_reason === "length" ? " (cut)" : ""))]),
      make("div", {class: "texts", html: latex.html(one.text)})]);
  }

  function group(one) {
    const shown = one.completions.length;
    return [
      make("div", {class: "prompt"}, [
        make("div", {class: "facts"}, [fact("prompt", one.prompt_id), fact("gold", one.gold), fact("completions", shown < one.size ? `${shown} of ${one.size}` : one.size)]),
        make("div", {class: "texts", html: latex.html(one.prompt)})]),
      make("div", {class: "completions"}, one.completions.map(completion))];
  }

  function select(options, name, changed) {
    return make("select", {"aria-label": name, onchange: (event) => changed(+event.target.value)}, options.map((option, i) => make("option", {value: i}, [option])));
  }

  // A group is live if its advantages are not all zero; the first live group is shown first.
  const is_live = (one) => one.completions.some((completion) => completion.advantage !== 0);

  function pane(first_run) {
    const chosen = {run: first_run, step: data.rollouts[first_run].steps.length - 1};
    chosen.group = Math.max(0, data.rollouts[first_run].steps[chosen.step].groups.findIndex(is_live));
    const body = make("div"), heads = make("div", {class: "controls"});
    const show = () => body.replaceChildren(...group(data.rollouts[chosen.run].steps[chosen.step].groups[chosen.group]));
    const fill = () => {
      const steps = data.rollouts[chosen.run].steps;
      chosen.step = Math.min(chosen.step, steps.length - 1);
      chosen.group = Math.min(chosen.group, steps[chosen.step].groups.length - 1);
      const runs = select(data.rollouts.map((run) => run.run), "run", (i) => { chosen.run = i; fill(); });
      const step = select(steps.map((one) => `step ${one.step}`), "step", (i) => { chosen.step = i; fill(); });
      const groups = select(steps[chosen.step].groups.map((one, i) => `prompt ${i + 1}: ${one.prompt_id}`), "prompt", (i) => { chosen.group = i; show(); });
      [runs.value, step.value, groups.value] = [chosen.run, chosen.step, chosen.group];
      heads.replaceChildren(runs, step, groups);
      show();
    };
    fill();
    return make("div", {class: "pane"}, [heads, body]);
  }

  function rollouts() {
    const section = document.getElementById("rollouts");
    data.rollouts = data.rollouts.map((run) => ({...run, steps: run.steps.filter((step) => step.groups.length > 0)})).filter((run) => run.steps.length > 0);
    if (data.rollouts.length === 0) { section.append(make("p", {class: "note"}, ["No rollouts were written."])); return; }
    // The second pane shows a run of another arm, or else another seed of the same arm.
    const other = data.rollouts.findIndex((run) => run.arm !== data.rollouts[0].arm);
    section.append(make("div", {class: "panes"}, data.rollouts.length > 1 ? [pane(0), pane(Math.max(1, other))] : [pane(0)]));
  }

  curves();
  rollouts();
})();
