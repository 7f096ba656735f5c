// Every row of tests/data/verifier_cases.jsonl: a pair of texts, the verdict it must get, and why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "grpo/io/json.h"
#include "grpo/verifier/verifier.h"
#include "support/paths.h"

namespace grpo::verifier {
namespace {

std::vector<nlohmann::json> rows() {
  io::JsonlReader reader(grpo::testing::test_data_dir() / "verifier_cases.jsonl");
  std::vector<nlohmann::json> out;
  for (nlohmann::json row; reader.next(row);) out.push_back(row);
  return out;
}

TEST(VerifierCases, EveryRowGetsItsVerdict) {
  const auto all = rows();
  ASSERT_GE(all.size(), 600u);
  for (const auto& row : all) {
    const auto verdict = verify(row.at("gold").get<std::string>(), row.at("pred").get<std::string>());
    const bool right = verdict.kind == Verdict::Kind::kRight;
    EXPECT_EQ(right, row.at("expect") == "right")
        << row.dump() << "\n  read as [" << verdict.gold_parsed << "] and [" << verdict.pred_parsed << "] by "
        << verdict.rule << ": " << verdict.reason;
    EXPECT_EQ(verdict.reason.empty(), right) << row.dump();
  }
}

TEST(VerifierCases, EveryCategoryHasBothVerdictsAndEveryRowItsReason) {
  std::map<std::string, std::pair<int, int>> counts;
  for (const auto& row : rows()) {
    EXPECT_FALSE(row.at("why").get<std::string>().empty()) << row.dump();
    auto& [right, wrong] = counts[row.at("category").get<std::string>()];
    ++(row.at("expect") == "right" ? right : wrong);
  }
  for (const auto& [category, count] : counts) {
    if (category != "extraction") {
      EXPECT_GT(count.second, 0) << category;
    }
    if (category != "guard") {
      EXPECT_GT(count.first, 0) << category;
    }
  }
}

}  // namespace
}  // namespace grpo::verifier
