// Judges an answer against the right one: judge '\frac{1}{2}' 'so it is \boxed{0.5}'
#include <cstdio>

#include "grpo/verifier/verifier.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: judge RIGHT_ANSWER RESPONSE\n"), 2;
  const auto verdict = grpo::verifier::verify(argv[1], argv[2], {});
  std::printf("%s: %s against %s\n", grpo::verifier::to_string(verdict.kind).c_str(), verdict.pred_parsed.c_str(),
              verdict.gold_parsed.c_str());
  return verdict.kind == grpo::verifier::Verdict::Kind::kRight ? 0 : 1;
}
