#include "grpo/verifier/response_checks.h"

#include "verifier/budget.h"
#include "verifier/extract.h"
#include "verifier/lexer.h"
#include "verifier/response.h"
#include "verifier/unicode.h"

namespace grpo::verifier {
namespace {

Verdict unread(Verdict::Kind kind, std::string_view gold, std::string reason) {
  return {.kind = kind,
          .gold_parsed = std::string(gold),
          .pred_parsed = "",
          .rule = "last number",
          .reason = std::move(reason)};
}

}  // namespace

Verdict verify_last_number(std::string_view gold, std::string_view text) {
  try {
    size_t at = 0;
    const std::string number = last_value(to_latex(text), at);
    if (number.empty()) return unread(Verdict::Kind::kUnparsable, gold, "no number");
    Verdict verdict = verify(gold, number);
    verdict.rule = "last number";
    return verdict;
  } catch (const OverBudget& error) {
    return unread(Verdict::Kind::kOverBudget, gold, error.what());
  }
}

bool has_boxed_answer(std::string_view text) {
  const Visible visible = visible_part(text);
  const Boxes boxes = find_boxes(visible.text);
  if (visible.unfinished_thought || boxes.complete.empty() || boxes.last_unfinished) return false;
  const Box& last = boxes.complete.back();
  const std::string_view content(visible.text);
  return !trim(content.substr(last.content_begin, last.content_end - last.content_begin)).empty();
}

}  // namespace grpo::verifier
