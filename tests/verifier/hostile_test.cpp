// Inputs made to break a verifier: each must end quickly, and none is 19.
#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "grpo/verifier/verifier.h"
#include "support/address_sanitizer.h"

namespace grpo::verifier {
namespace {

std::string times(const std::string& text, int count) {
  std::string out;
  out.reserve(text.size() * static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

std::string box(const std::string& text) { return "\\boxed{" + text + "}"; }

std::string long_list() {
  std::string out = "0";
  for (int i = 1; i < 3000; ++i) out += "," + std::to_string(i);
  return out;
}

std::vector<std::string> hostile_inputs() {
  const int mega = 1 << 20;
  return {
      box("10^{10^{10}}"),
      box("10^10^10"),
      box("9^{9^{9^{9^9}}}"),
      box("((((99!)!)!)!)"),
      box("(10^{18})!"),
      box("2^{100000000000}"),
      box("\\binom{1000000000}{500000000}"),
      box("\\sum_{k=1}^{1000000000} k"),
      box("\\prod_{k=1}^{2000} k^{k^{k}}"),
      box("\\sum_{k=1}^{2000}\\sum_{j=1}^{2000} \\frac{1}{jk}"),
      box("1e999999999"),
      box("\\sin(10^{100000})"),
      box("e^{e^{e^{e^{e}}}}"),
      box("(-1)^{10^{20}+0.5}"),
      box("(x+y+z+w)^{40}"),
      box("(x+1)^{10^{9}}"),
      box(times("9", 3000) + "^{" + times("9", 3000) + "}"),
      box(times("9", 19000)),
      box("0.\\overline{" + times("12", 6000) + "}"),
      times("{", mega),
      times("}", mega),
      times("\\boxed{", mega / 8),
      times("\\boxed{", 100000) + times("}", 100000),
      times("\\boxed{1}", 100000),
      times("\\boxed", mega / 8),
      times("\\boxed 1{", 100000),
      times("\\boxed5", 100000),
      "\\boxed{" + times("\\boxed{1},", 50000) + "}",
      times("$", mega),
      times("\\(", mega / 2),
      times("(", mega),
      box(times("(", 5000)),
      box(times("[", 5000) + "1" + times("]", 5000)),
      box(times("\\{", 500) + "1" + times("\\}", 500)),
      box(times("\\sqrt{", 300) + "2" + times("}", 300)),
      box(times("\\frac{1}{", 300) + "2" + times("}", 300)),
      box(times("-", 5000) + "7"),
      box(times("1+", 3000) + "1"),
      box(times("2^", 500) + "2"),
      box(times("1/", 900) + "1"),
      box(times("x", 5000)),
      box(times("xy+", 2000) + "z"),
      box(times("|", 3000)),
      box(times("x<", 1000) + "1"),
      box(times("1:", 1000) + "1"),
      box(times("[1,2]\\cup", 400) + "[1,2]"),
      box("\\begin{pmatrix}" + times("1&", 4000) + "1\\end{pmatrix}"),
      box(long_list()),
      box(times("\\pm", 40) + "1"),
      times("\\boxed{5} (a) ", 60000),
      times("\\boxed{5}\n- ", 60000),
      times("1+", mega / 2) + "\\boxed{5}",
      times("{", mega) + "\\boxed{5}",
      "\\boxed{5}" + times(". Wait", mega / 6),
      times("<<", mega / 2) + ">>",
      times("<!--", mega / 4),
      times("1, 2, and ", mega / 10),
      times("$1$, ", mega / 5),
      times("A wrong answer is 5. ", 40000),
      times(" is 7 when x = ", 60000) + "5",
      box(times("5 (five) ", 2000)),
      box(times("\\ln{\\left(x\\right)}^2", 300)),
      box("(x+y+10^{-1000})^{40}"),
      box(times("f(", 400) + "x" + times(")", 400)),
      box(times("\\left(", 900) + "2" + times("\\right)", 900) + "!"),
      box("\\sqrt[0]{5}"),
      box("\\log_1 5"),
      box("\\frac{0}{0}"),
      box("0^{-1}"),
      times("answer is ", 100000),
      times("<think>", 100000),
      times("</think>", 100000),
      times("<answer>", 100000),
      times("#### ", 200000),
      times("```\n", 200000),
      times("1,", mega / 2),
      times("1 ", mega / 2),
      times("\xff\xfe", mega / 2),
      times("\xf0\x9f", mega / 2),
      std::string(static_cast<size_t>(mega), '\0'),
      std::string("\0\\boxed{\0", 10),
      box("1\xff"
          "9"),
      times("\xc2\xbd", 100000),
      times("\xe2\x81\xb9", 100000),
      box(times("\xc2\xb2", 5000)),
      box(times("\\text{a}", 2000)),
      box(times("\\overline{", 500) + "1" + times("}", 500)),
      box("\\begin{array}{" + times("c", 9000) + "}1\\end{array}"),
      box(times("!", 5000)),
      box("5" + times("!", 200)),
      box(times("'", 5000)),
      box("x" + times("_{1", 300)),
      box(times("\\sin", 2000) + "x"),
      box("\\sin" + times("^2", 500) + "x"),
      times("\\", mega),
      times("a", mega),
      times("*", mega),
      times("* ", mega / 2),
      times("\n", mega),
      times("$1$ ", 200000),
      times("the answer is 5. ", 60000),
      times("\\begin{align}", 80000),
      times("is = ", 200000),
      times("<", mega),
      times("[", mega),
      box(times("(1,2),", 500) + "(1,2)"),
      box("\\gcd(" + times("9", 5000) + "," + times("8", 5000) + ")"),
      box("\\tan(\\frac{\\pi}{2})"),
      box("\\sqrt{" + times("2+\\sqrt{", 60) + "2" + times("}", 61)),
      box("\\lfloor " + times("\\lfloor ", 90) + "2" + times("\\rfloor", 91)),
      box("x^{" + times("9", 5000) + "}"),
      box("\\left(\\frac{1}{3}\\right)^{100000}"),
      box("\\sqrt[100000]{2}"),
      box("2^{0.1^{0.1^{0.1}}}"),
      box("1000000!"),
      box("\\frac{10000!}{9999!\\cdot 3}"),
      box(times("\\log_28", 2000)),
      box(times("log2(", 1300) + "1" + times(")", 1300)),
      box(times("AB/CD/", 1100) + "AB"),
      box(times("AB\\cdot CD\\cdot ", 900) + "AB"),
      box(times("x<1,", 1900) + "x<1"),
      box(times("2x, x>", 900) + "1"),
      box("\\sum_{k=1}^{40}\\sum_{j=1}^{40}\\sum_{i=1}^{40}a_{ijk}"),
      box(times("\\sum_{k=1}^{\\infty}", 90) + "x^k"),
      box(times("\\sum_{k=1}^{40}a_k+", 300) + "1"),
      box("\\sum_{k=1}^{40}(x+y+k)^{40}"),
      box("\\sum_{k=1}^{40}a_{" + times("k+", 2000) + "1}"),
      box(times("(a) 3 (b) 8 ", 600)),
      box(times("\\mathrm m\\cdot", 2000)),
      box(times("\\mathrm{kg}\\,", 1500)),
      box(times("C_n^k", 1500)),
      box("0x" + times("F", 4000)),
      box("1" + times("_000", 3000)),
      box(times("[[1,2],", 400) + "1" + times("]", 400)),
      box("\\begin{cases}" + times("1 & n\\text{ even}\\\\", 1000) + "\\end{cases}"),
      box(times("(0,1)\\text{ and }", 400) + "(2,3)"),
      box(times("\\Re ", 2000)),
      times("4, but it may ", 60000),
      times("正解", 100000),
  };
}

// The bound is 50 ms of processor time, which other work on the machine does not lengthen; debug builds get slack.
// AddressSanitizer checks the whole range that memrchr might read at each of its calls.
#ifdef GRPO_ADDRESS_SANITIZER
constexpr double kSlowest_ms = 20000.0;
#else
constexpr double kSlowest_ms = 250.0;
#endif

double cpu_ms_since(std::clock_t start) { return 1000.0 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC; }

TEST(Hostile, EveryInputEndsQuicklyAndIsNotTheGold) {
  for (const auto& input : hostile_inputs()) {
    const std::clock_t start = std::clock();
    const Verdict verdict = verify("19", input);
    const double ms = cpu_ms_since(start);
    EXPECT_NE(verdict.kind, Verdict::Kind::kRight) << input.substr(0, 80);
    EXPECT_LT(ms, kSlowest_ms) << input.substr(0, 80);
    RecordProperty("worst", std::to_string(ms));
  }
}

TEST(Hostile, EveryInputIsHarmlessAsGoldToo) {
  for (const auto& input : hostile_inputs()) {
    const std::clock_t start = std::clock();
    EXPECT_NE(verify(input, "\\boxed{19}").kind, Verdict::Kind::kRight) << input.substr(0, 80);
    verify(input, input);
    const double ms = cpu_ms_since(start);
    EXPECT_LT(ms, 2 * kSlowest_ms) << input.substr(0, 80);
  }
}

TEST(Hostile, TheSameVerdictOnEveryThread) {
  const auto inputs = hostile_inputs();
  std::vector<Verdict::Kind> expected;
  for (const auto& input : inputs) expected.push_back(verify("\\sqrt{2}", input).kind);
  std::vector<std::vector<Verdict::Kind>> found(4);
  std::vector<std::thread> threads;
  for (auto& kinds : found) {
    threads.emplace_back([&] {
      for (const auto& input : inputs) kinds.push_back(verify("\\sqrt{2}", input).kind);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& kinds : found) EXPECT_EQ(kinds, expected);
}

TEST(Hostile, TooMuchWorkIsReportedAsSuch) {
  for (const char* input : {"\\boxed{9^{9^{9^{9}}}}", "\\boxed{(30!)!}", "\\boxed{\\sum_{k=1}^{10^9} \\sqrt{k}}"}) {
    const Verdict verdict = verify("19", input);
    EXPECT_EQ(verdict.kind, Verdict::Kind::kOverBudget) << input;
    EXPECT_FALSE(verdict.reason.empty());
  }
}

}  // namespace
}  // namespace grpo::verifier
