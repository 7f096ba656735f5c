#!/usr/bin/env python3
"""The page of `grpo compare` in headless Chromium. Arguments: the program and a folder for the screenshots."""
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest

import browser

PROGRAM, PICTURES = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
SKIPPED = 77  # what ctest is told to take for "skipped"

WIDTHS = {"wide": 1440, "narrow": 390}
LONG_TEXT = "We need \\(x^2\\) with \\(\\frac{a}{b_1} = \\sqrt{\\pi}\\). " + "Wordswithoutanyspace" * 20 + "\n<script>alert(1)</script> so \\boxed{\\frac{3}{4}}"


def metrics_line(step, group_size, seed):
    progress = 1 - math.exp(-step / 15)
    line = {"step": step, "time": 1000 + step, "reward/mean": .3 + .5 * progress + .02 * math.sin(step * seed), "accuracy": .3 + .5 * progress,
            "length/mean": 200 + 3 * step, "entropy": .5 - .3 * progress, "grad_norm": 1 / (1 + step), "loss": -.01, "groups/total": 64,
            "groups/live": 30 + group_size, "rollouts": 64 * group_size, "tokens/completion": 13000 * group_size, "kl/sampler": 1e-7, "truncated": 0,
            "speed/rollout_tokens_per_s": 2e4, "time/rollout": 2.0 * group_size, "time/reward": .1, "time/update": 1.0 * group_size,
            "time/train": 3.0 * group_size + .1, "time/step": 3.0 * group_size + .3, "memory/peak_bytes": 3e9}
    if step % 10 == 0:
        line.update({"eval/heldout/mean@4": .3 + .5 * progress + .01 * seed, "eval/heldout/pass@4": .5 + .4 * progress})
    return line


def rollout(step, sample, group_size):
    right = sample == 1
    return {"step": step, "prompt_id": "p1", "sample": sample, "prompt": "What is $\\frac{1}{2}+\\frac14$?", "prompt_ids": [1], "ids": [1, 2, 3],
            "text": LONG_TEXT, "logprobs": [0, 0, 0], "finish_reason": "stop", "answer": "3/4", "gold": "\\frac{3}{4}",
            "verdict": "right" if right else "wrong", "reward": float(right), "advantage": 1.0 if right else -1.0}


def write_lines(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def write_run(root, name, group_size=2, seed=1, steps=40):
    folder = os.path.join(root, name)
    os.makedirs(os.path.join(folder, "rollouts"))
    with open(os.path.join(folder, "config.yaml"), "w", encoding="utf-8") as file:
        file.write(f"run: {{name: {name}, seed: {seed}}}\nrollout: {{group_size: {group_size}, prompts_per_step: 64}}\n")
    start = [{"step": 0, "time": 1000, "time/eval": 1.0, "eval/heldout/mean@4": .3, "eval/heldout/pass@4": .5}] if steps else []
    write_lines(os.path.join(folder, "metrics.jsonl"), start + [metrics_line(step, group_size, seed) for step in range(1, steps + 1)])
    for step in range(1, steps + 1, 13):
        write_lines(os.path.join(folder, "rollouts", f"step_{step:08d}.jsonl"), [rollout(step, i, group_size) for i in range(group_size)])
    return folder


def compare(folders, page):
    result = subprocess.run([PROGRAM, "compare", *folders, "--output", page], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return page


# Share of a chart's pixels that some line or band covers: an empty canvas has only grid and labels, all of them grey.
COLOURED = """(() => [...document.querySelectorAll('canvas')].map((canvas) => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let coloured = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    const [r, g, b, a] = pixels.slice(i, i + 4);
    if (a > 100 && Math.max(r, g, b) - Math.min(r, g, b) > 60) ++coloured;
  }
  return coloured;
}))()"""


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = cls.folder.name
        os.makedirs(PICTURES, exist_ok=True)
        cls.chromium = browser.Browser(browser.find())
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.chromium.close)
        twenty = [write_run(root, f"arm{g}_a_rather_long_name_of_a_run_seed{s}", g, s) for g in (2, 4, 8, 16, 32) for s in (1, 2, 3, 4)]
        cls.pages = {
            "empty": compare([write_run(root, "just_started", steps=0)], os.path.join(root, "empty.html")),
            "one": compare([write_run(root, "alone")], os.path.join(root, "one.html")),
            "two": compare([write_run(root, "g16", 16), write_run(root, "g2", 2, seed=2)], os.path.join(root, "two.html")),
            "twenty": compare(twenty, os.path.join(root, "twenty.html")),
        }

    def open(self, page, width="wide", dark=False):
        self.chromium.open(self.pages[page], WIDTHS[width], 900, dark)

    def text(self):
        return self.chromium.evaluate("document.body.innerText")

    def test_every_page_is_whole_at_both_widths_in_light_and_dark(self):
        for page in self.pages:
            for width in WIDTHS:
                for dark in (False, True):
                    with self.subTest(page=page, width=width, dark=dark):
                        self.open(page, width, dark)
                        self.chromium.screenshot(os.path.join(PICTURES, f"{page}_{width}_{'dark' if dark else 'light'}.png"))
                        self.assertEqual(self.chromium.problems(), [])
                        self.assertLessEqual(self.chromium.evaluate("document.documentElement.scrollWidth"), WIDTHS[width])
                        back = self.chromium.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
                        self.assertEqual(back < 128, dark)
                        drawn = self.chromium.evaluate(COLOURED)
                        self.assertEqual(len(drawn), 0 if page == "empty" else 12)
                        for metric, pixels in zip(self.chromium.evaluate("[...document.querySelectorAll('figure')].map(f => f.dataset.metric)"), drawn):
                            self.assertGreater(pixels, 100, metric)

    def test_the_summary_fits_a_wide_screen(self):
        for page in ("one", "two"):
            self.open(page)
            self.assertEqual(self.chromium.evaluate("(() => { const b = document.querySelector('.scroll'); return b.scrollWidth - b.clientWidth; })()"), 0, page)

    def test_names_leave_room_for_figures_on_a_narrow_screen(self):
        self.open("twenty", "narrow")
        width = self.chromium.evaluate("document.querySelector('tr:nth-child(2) > th').getBoundingClientRect().width")
        self.assertLess(width, WIDTHS["narrow"] * .55)

    def test_the_configuration_has_a_column_for_each_arm(self):
        self.open("twenty")
        rows = self.chromium.evaluate("[...document.querySelectorAll('#config tr')].map(row => [...row.children].map(cell => cell.textContent))")
        self.assertEqual(rows[1:], [["rollout.group_size", "2", "4", "8", "16", "32"]])  # all have the same seeds

    def test_an_empty_page_says_so(self):
        self.open("empty")
        for words in ("just_started", "No step has finished yet", "No rollouts were written", "nothing to compare"):
            self.assertIn(words, self.text())
        self.assertNotIn("Configuration differences", self.text())  # of one run there are none

    def test_two_runs_have_verdict_changes_and_configuration_differences(self):
        self.open("two")
        text = self.text()
        for words in ("G=2 reaches", "with 12.5 % of its rollouts in 0.13 of its time", "no interval",
                      "(−87 %)", "rollout.group_size", "run.seed", "prompt p1", "completions 2", "4 of 16"):
            self.assertIn(words, text)

    def test_seeds_are_one_arm_with_a_band(self):
        self.open("twenty")
        self.assertIn("arm16_a_rather_long_name_of_a_run (4 seeds)", self.text())
        self.assertEqual(self.chromium.evaluate("document.querySelectorAll('.arms button').length"), 5)
        self.assertIn("Welch's t over 4 and 4 seeds", self.text())

    def test_latex_is_drawn_and_text_is_never_markup(self):
        self.open("two")
        count = lambda selector: self.chromium.evaluate(f"document.querySelectorAll('#rollouts {selector}').length")
        self.assertGreater(count("mfrac"), 2)
        self.assertGreater(count("msqrt"), 0)
        self.assertEqual(count("script"), 0)
        self.assertIn("<script>alert(1)</script>", self.text())
        self.assertIn("π", self.chromium.evaluate("document.querySelector('#rollouts msqrt').innerHTML"))

    def test_latex_of_many_kinds(self):
        self.open("one")
        cases = {
            "$x^{2}$": "<math><msup><mi>x</mi><mn>2</mn></msup></math>",

            "$a_{i}^2$": "<math><msubsup><mi>a</mi><mi>i</mi><mn>2</mn></msubsup></math>",
            "\\(\\sqrt[3]{x}\\)": "<math><mroot><mi>x</mi><mn>3</mn></mroot></math>",
            "it costs $5 and $6": "it costs $5 and $6",
            "a < b & c": "a &lt; b &amp; c",
            "$\\unknown{x}$": "<math><mrow><mtext>\\unknown</mtext><mi>x</mi></mrow></math>",
            "$\\le\\alpha$": "<math><mrow><mo>≤</mo><mi>α</mi></mrow></math>",
        }
        for source, expected in cases.items():
            self.assertEqual(self.chromium.evaluate(f"latex.html({json.dumps(source)})"), expected, source)
        for broken in ("$\\frac{1}{", "$}{$", "\\boxed{", "$\\sqrt[3$", "$x^$", "$\\begin{pmatrix}1&2$", "$\\$", "$^_^$", "$\\frac$"):
            self.assertIsInstance(self.chromium.evaluate(f"latex.html({json.dumps(broken)})"), str, broken)

    def test_the_switch_changes_the_axis_and_hiding_an_arm_its_line(self):
        self.open("two")
        label = "document.querySelector('.tip b').textContent"
        box = self.chromium.evaluate("(() => { const b = document.querySelector('.u-over').getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()")
        hover = lambda: self.chromium.mouse("mouseMoved", box[0] + box[2] * .95, box[1] + box[3] / 2)
        for axis, unit in (("rollouts", "rollouts"), ("steps", "steps"), ("wall", " min")):
            self.chromium.mouse("mouseMoved", box[0] + 5, box[1] + 5)
            self.chromium.evaluate(f"document.querySelector('input[value={axis}]').click()")
            hover()
            self.assertIn(unit, self.chromium.evaluate(label))
        before = self.chromium.evaluate(COLOURED)[0]
        self.chromium.evaluate("document.querySelector('.arms button').click()")
        self.assertLess(self.chromium.evaluate(COLOURED)[0], before)
        self.assertEqual(self.chromium.problems(), [])

    def test_what_is_under_the_pointer_stays_inside_its_chart(self):
        for width in WIDTHS:
            for share in (.1, .45, .55, .95):
                self.open("twenty", width)
                self.chromium.evaluate("document.getElementById('curves').scrollIntoView()")
                x, y, w, h = self.chromium.evaluate("(() => { const b = document.querySelector('.u-over').getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()")
                self.chromium.mouse("mouseMoved", x + w * share - 2, y + h / 2)
                self.chromium.mouse("mouseMoved", x + w * share, y + h / 2)
                outside = self.chromium.evaluate("""[...document.querySelectorAll('.tip:not([hidden])')].map(tip => {
                  const t = tip.getBoundingClientRect(), f = tip.parentElement.getBoundingClientRect();
                  return Math.max(f.left - t.left, t.right - f.right); })""")
                self.assertGreater(len(outside), 0)
                self.assertLessEqual(max(outside), 1, (width, share))
                self.assertLessEqual(self.chromium.evaluate("document.documentElement.scrollWidth"), WIDTHS[width])

    def test_a_drag_zooms_every_chart_and_smoothing_redraws(self):
        self.open("two")
        before = self.chromium.evaluate(COLOURED)
        x, y, w, h = self.chromium.evaluate("(() => { const b = document.querySelector('.u-over').getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()")
        self.chromium.mouse("mouseMoved", x + w * .3, y + h / 2)
        self.chromium.mouse("mousePressed", x + w * .3, y + h / 2, buttons=1)
        self.chromium.mouse("mouseMoved", x + w * .6, y + h / 2, buttons=1)
        self.chromium.mouse("mouseReleased", x + w * .6, y + h / 2)
        self.chromium.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        zoomed = self.chromium.evaluate(COLOURED)
        for a, b in list(zip(before, zoomed))[:5]:  # those whose curves are not flat
            self.assertNotEqual(a, b)
        self.chromium.evaluate("document.querySelector('.controls button').click()")
        self.assertEqual(self.chromium.evaluate(COLOURED), before)
        self.chromium.evaluate("(() => { const s = document.querySelector('input[type=range]'); s.value = .9; s.dispatchEvent(new Event('input')); })()")
        self.assertNotEqual(self.chromium.evaluate(COLOURED), before)
        self.assertEqual(self.chromium.problems(), [])

    def test_the_browser_sees_errors_and_requests(self):
        """Otherwise the empty lists above would say nothing."""
        path = os.path.join(self.folder.name, "broken.html")
        with open(path, "w", encoding="utf-8") as file:
            file.write("<script>console.error('a'); missing();</script><img src='other.png'>")
        self.chromium.open(path, 800, 600)
        problems = self.chromium.problems()
        self.assertTrue(any("missing" in problem for problem in problems), problems)
        self.assertTrue(any("other.png" in problem for problem in problems), problems)


if __name__ == "__main__":
    if browser.find() is None:
        print("skipped: no Chromium is installed (" + ", ".join(browser.NAMES) + "); scripts/setup.sh --tests installs it where it can")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
