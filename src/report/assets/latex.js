"use strict";
// Turns LaTeX, as models write it in answers, into MathML, which browsers draw themselves. Unknown commands stay as they were written.
const latex = (() => {
  const symbols = {
    alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ϵ", varepsilon: "ε", zeta: "ζ", eta: "η", theta: "θ", iota: "ι", kappa: "κ",
    lambda: "λ", mu: "μ", nu: "ν", xi: "ξ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ", upsilon: "υ", phi: "ϕ", varphi: "φ", chi: "χ", psi: "ψ",
    omega: "ω", Gamma: "Γ", Delta: "Δ", Theta: "Θ", Lambda: "Λ", Xi: "Ξ", Pi: "Π", Sigma: "Σ", Phi: "Φ", Psi: "Ψ", Omega: "Ω", infty: "∞",
    ell: "ℓ", emptyset: "∅", angle: "∠", triangle: "△", circ: "∘", degree: "°", ldots: "…", dots: "…", cdots: "⋯", prime: "′", partial: "∂",
    Re: "ℜ", Im: "ℑ"};
  const operators = {
    cdot: "·", times: "×", div: "÷", pm: "±", mp: "∓", le: "≤", leq: "≤", ge: "≥", geq: "≥", ne: "≠", neq: "≠", approx: "≈", equiv: "≡",
    cong: "≅", sim: "∼", to: "→", rightarrow: "→", Rightarrow: "⇒", implies: "⟹", iff: "⟺", in: "∈", notin: "∉", subset: "⊂", subseteq: "⊆",
    cup: "∪", cap: "∩", setminus: "∖", mid: "∣", parallel: "∥", perp: "⊥", sum: "∑", prod: "∏", int: "∫", lfloor: "⌊", rfloor: "⌋",
    lceil: "⌈", rceil: "⌉", langle: "⟨", rangle: "⟩", forall: "∀", exists: "∃", therefore: "∴", "{": "{", "}": "}", "|": "‖", "%": "%",
    "&": "&", "#": "#", _: "_", $: "$"};
  const functions = "sin cos tan cot sec csc arcsin arccos arctan log ln exp lim max min gcd lcm mod bmod pmod det deg dim".split(" ");
  const spaces = {",": ".17em", ":": ".22em", ";": ".28em", " ": ".3em", quad: "1em", qquad: "2em"};
  const plain = ["text", "textbf", "mathrm", "textrm", "mathbf", "mathit", "operatorname", "mbox", "mathbb", "mathcal"];
  const ignored = ["left", "right", "displaystyle", "limits", "big", "Big", "bigg", "Bigg", "!", "bigl", "bigr"];

  const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const row = (parts) => (parts.length === 1 ? parts[0] : `<mrow>${parts.join("")}</mrow>`);

  // The text up to the brace that closes the one at `at`; null when it is not closed.
  function braced(text, at) {
    for (let depth = 0, i = at; i < text.length; ++i) {
      if (text[i] === "\\") ++i;
      else if (text[i] === "{") ++depth;
      else if (text[i] === "}" && --depth === 0) return text.slice(at + 1, i);
    }
    return null;
  }

  class Parser {
    constructor(text) { this.text = text; this.at = 0; }
    skip() { while (/\s/.test(this.text[this.at] || "")) ++this.at; }
    command() {
      const name = /^\\([a-zA-Z]+|[^a-zA-Z])/.exec(this.text.slice(this.at));
      this.at += name ? name[0].length : 1;
      return name ? name[1] : "";
    }
    group() {  // an argument: {...} or one atom
      this.skip();
      const c = this.text[this.at] || "";
      if (/\d/.test(c)) { ++this.at; return `<mn>${c}</mn>`; }  // \frac12 is one half
      if (c !== "{") return c ? this.atom() : "<mrow></mrow>";
      return math(this.group_text());
    }
    group_text() {
      this.skip();
      const inner = this.text[this.at] === "{" ? braced(this.text, this.at) : null;
      if (inner === null) { ++this.at; return this.text[this.at - 1] === "{" ? "" : this.text[this.at - 1] || ""; }
      this.at += inner.length + 2;
      return inner;
    }
    root() {
      this.skip();
      const index = this.text[this.at] === "[" ? this.text.indexOf("]", this.at) : -1;
      if (index < 0) return `<msqrt>${this.group()}</msqrt>`;
      const degree = math(this.text.slice(this.at + 1, index));
      this.at = index + 1;
      return `<mroot>${this.group()}${degree}</mroot>`;
    }
    environment() {
      const name = this.group_text();
      const end = this.text.indexOf(`\\end{${name}}`, this.at);
      const body = this.text.slice(this.at, end < 0 ? undefined : end).replace(/^\{[lcr|]*\}/, "");
      this.at = end < 0 ? this.text.length : end + name.length + 6;
      const rows = body.split("\\\\").map((line) => `<mtr>${line.split(/(?<!\\)&/).map((cell) => `<mtd>${math(cell)}</mtd>`).join("")}</mtr>`);
      const fence = {pmatrix: "()", bmatrix: "[]", vmatrix: "||", cases: "{ "}[name] || "  ";
      const bar = (c) => (c === " " ? "" : `<mo>${c}</mo>`);
      return `<mrow>${bar(fence[0])}<mtable>${rows.join("")}</mtable>${bar(fence[1])}</mrow>`;
    }
    atom() {
      const c = this.text[this.at];
      if (c === "{") return this.group();
      if (c === "\\") return this.named(this.command());
      const digits = /^\d+(?:[.,]\d+)*/.exec(this.text.slice(this.at));
      if (digits) { this.at += digits[0].length; return `<mn>${digits[0]}</mn>`; }
      ++this.at;
      if (/\p{L}/u.test(c)) return `<mi>${c}</mi>`;
      return `<mo>${c === "-" ? "−" : c === "'" ? "′" : escape(c)}</mo>`;
    }
    named(name) {
      if (["frac", "dfrac", "tfrac", "cfrac"].includes(name)) return `<mfrac>${this.group()}${this.group()}</mfrac>`;
      if (name === "binom") return `<mrow><mo>(</mo><mfrac linethickness="0">${this.group()}${this.group()}</mfrac><mo>)</mo></mrow>`;
      if (name === "sqrt") return this.root();
      if (name === "boxed" || name === "fbox") return `<mrow style="border:1px solid;padding:.1em .25em">${this.group()}</mrow>`;
      if (name === "overline" || name === "bar") return `<mover>${this.group()}<mo>¯</mo></mover>`;
      if (name === "vec" || name === "overrightarrow") return `<mover>${this.group()}<mo>→</mo></mover>`;
      if (name === "hat") return `<mover>${this.group()}<mo>^</mo></mover>`;
      if (name === "begin") return this.environment();
      if (plain.includes(name)) return `<mtext>${escape(this.group_text())}</mtext>`;
      if (ignored.includes(name)) { this.skip(); if (this.text[this.at] === ".") ++this.at; return ""; }
      if (functions.includes(name)) return `<mi>${name}</mi><mspace width=".15em"></mspace>`;
      if (Object.hasOwn(spaces, name)) return `<mspace width="${spaces[name]}"></mspace>`;
      if (Object.hasOwn(symbols, name)) return `<mi>${symbols[name]}</mi>`;
      if (Object.hasOwn(operators, name)) return `<mo>${escape(operators[name])}</mo>`;
      if (name === "\\") return `<mspace linebreak="newline"></mspace>`;
      return `<mtext>\\${escape(name)}</mtext>`;
    }
    scripts(base) {
      let below = null, above = null;
      for (this.skip(); this.text[this.at] === "_" || this.text[this.at] === "^"; this.skip()) {
        const up = this.text[this.at++] === "^";
        if (up) above = this.group(); else below = this.group();
      }
      if (below && above) return `<msubsup>${base}${below}${above}</msubsup>`;
      if (below) return `<msub>${base}${below}</msub>`;
      return above ? `<msup>${base}${above}</msup>` : base;
    }
    all() {
      const parts = [];
      for (this.skip(); this.at < this.text.length; this.skip()) {
        const c = this.text[this.at];
        const base = c === "^" || c === "_" ? "<mrow></mrow>" : this.atom();
        if (base) parts.push(this.scripts(base));
      }
      return row(parts);
    }
  }
  function math(text) { return new Parser(text).all(); }

  const element = (text, block) => `<math${block ? ' display="block"' : ""}>${math(text)}</math>`;
  // No digit may follow the closing $, so that "$5 and $6" stays text.
  const delimited = /\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|\$(?!\s)([^$\n]*?[^\s\\$])\$(?!\d)/g;

  // Outside of delimiters only \boxed{...} is mathematics.
  function prose(text) {
    const at = text.indexOf("\\boxed{");
    const inner = at < 0 ? null : braced(text, at + 6);
    if (inner === null) return escape(text);
    return escape(text.slice(0, at)) + element(`\\boxed{${inner}}`, false) + prose(text.slice(at + 8 + inner.length));
  }

  function html(text) {
    let out = "", last = 0;
    for (const found of text.matchAll(delimited)) {
      out += prose(text.slice(last, found.index));
      const block = found[1] ?? found[2];
      out += element(block ?? found[3] ?? found[4], block !== undefined);
      last = found.index + found[0].length;
    }
    return out + prose(text.slice(last));
  }
  // An answer without delimiters counts as mathematics if it contains a backslash or ^.
  const answer = (text) => (/[\\^]/.test(text) ? element(text, false) : escape(text));
  return {html, answer};
})();
