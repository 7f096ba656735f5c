// The sampling path against the reference: extend over a paged cache.
#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <gtest/gtest.h>

#include "models/cached_pass.h"
#include "models/golden_model.h"

namespace grpo::models {
namespace {

using testing::cached_logits;
using testing::CachedPass;
using testing::golden_models;
using testing::kLogitTolerance;
using testing::max_distance;
using testing::to_vector;

constexpr int64_t kWhole = 1 << 20;

void expect_golden_logits(int64_t piece) {
  for (const auto& golden : golden_models()) {
    const auto model = golden.load();
    for (const bool exact : {false, true}) {
      const auto logits = cached_logits(*model, golden.sequences(), piece, exact);
      EXPECT_LT(max_distance(logits, golden.packed("logits")), kLogitTolerance)
          << golden.folder() << " exact " << exact;
    }
  }
}

TEST(GoldenCachedModels, LogitsOfAPrefillInOneGo) { expect_golden_logits(kWhole); }
TEST(GoldenCachedModels, LogitsOfAPrefillInPieces) { expect_golden_logits(5); }
TEST(GoldenCachedModels, LogitsOfTokenByTokenDecoding) { expect_golden_logits(1); }

TEST(GoldenCachedModels, CachedEqualsPacked) {
  for (const auto& golden : golden_models()) {
    const at::NoGradGuard no_grad;
    const auto model = golden.load();
    const auto packed =
        at::linear(model->hidden_states(nn::PackedBatch::pack(golden.sequences())), model->head_weight());
    EXPECT_LT(max_distance(cached_logits(*model, golden.sequences(), 3, false), packed), kLogitTolerance)
        << golden.folder();
  }
}

TEST(GoldenCachedModels, ExactPrefillAndDecodeAgreeBitForBit) {
  for (const auto& golden : golden_models()) {
    const auto model = golden.load();
    const auto prefill = cached_logits(*model, golden.sequences(), kWhole, true);
    for (const int64_t piece : {1, 5}) {
      EXPECT_TRUE(at::equal(prefill, cached_logits(*model, golden.sequences(), piece, true)))
          << golden.folder() << " piece " << piece;
    }
  }
}

TEST(GoldenCachedModels, ExactResultsDoNotDependOnTheBatch) {
  for (const auto& golden : golden_models()) {
    const auto model = golden.load();
    const auto together = cached_logits(*model, golden.sequences(), 2, true);
    std::vector<at::Tensor> alone;
    for (const auto& sequence : golden.sequences())
      alone.push_back(cached_logits(*model, {sequence}, 2, true, /*page_size=*/16));
    EXPECT_TRUE(at::equal(together, at::cat(alone))) << golden.folder();
  }
}

TEST(GoldenCachedModels, GreedyContinuation) {
  for (const auto& golden : golden_models()) {
    const auto model = golden.load();
    const auto expected = golden.expected("greedy");
    for (const bool exact : {false, true}) {
      for (size_t s = 0; s < golden.sequences().size(); ++s) {
        CachedPass pass(*model, 1, golden.length(s) + expected.size(1), 8, exact);
        std::vector<int64_t> added = golden.sequences()[s];
        std::vector<int64_t> continuation;
        for (int64_t step = 0; step < expected.size(1); ++step) {
          continuation.push_back(pass.extend({added})[-1].argmax().item<int64_t>());
          added = {continuation.back()};
        }
        EXPECT_EQ(continuation, to_vector(expected[static_cast<int64_t>(s)])) << golden.folder() << " exact " << exact;
      }
    }
  }
}

}  // namespace
}  // namespace grpo::models
