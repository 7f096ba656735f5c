#include "grpo/nn/lm_head.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/masked_fill.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <stdexcept>
#include <string>

#include "support/limited_memory.h"

namespace grpo::nn {
namespace {

constexpr int64_t kHidden = 24;
constexpr int64_t kVocabulary = 101;

struct Case {
  at::Tensor hidden, weight, targets, log_prob_weight, entropy_weight;

  explicit Case(int64_t tokens, at::ScalarType dtype = at::kFloat) {
    at::manual_seed(5);
    hidden = at::randn({tokens, kHidden}).to(dtype).set_requires_grad(true);
    weight = (0.4 * at::randn({kVocabulary, kHidden})).to(dtype).set_requires_grad(true);
    targets = at::randint(kVocabulary, {tokens}, at::kLong);
    log_prob_weight = at::randn({tokens});
    entropy_weight = at::randn({tokens});
  }
  Case in_fp64() const {
    Case copy = *this;
    for (auto* x : {&copy.hidden, &copy.weight}) *x = x->detach().to(at::kDouble).set_requires_grad(true);
    return copy;
  }
  at::Tensor objective(const TokenLogProbs& out, bool with_entropy) const {
    const auto value = (out.log_probs * log_prob_weight).sum();
    return with_entropy ? value + (out.entropy * entropy_weight).sum() : value;
  }
};

// The definition with all logits at once.
TokenLogProbs plain(const Case& c, double temperature) {
  const auto log_probs = at::log_softmax(at::linear(c.hidden, c.weight) / temperature, -1);
  return {log_probs.gather(1, c.targets.unsqueeze(1)).squeeze(1), -(log_probs.exp() * log_probs).sum(-1)};
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a.detach() - b.detach()).abs().max().item<double>();
}

void expect_plain(int64_t tokens, const LmHeadOptions& options, double tolerance = 1e-5,
                  at::ScalarType dtype = at::kFloat) {
  const Case chunked(tokens, dtype);
  const Case reference = chunked.in_fp64();
  const auto out = token_log_probs(chunked.hidden, chunked.weight, chunked.targets, options);
  const auto expected = plain(reference, options.temperature);
  EXPECT_EQ(out.log_probs.scalar_type(), at::kFloat);
  EXPECT_LT(distance(out.log_probs, expected.log_probs), tolerance);
  EXPECT_LT(distance(out.entropy, expected.entropy), tolerance);

  chunked.objective(out, options.entropy_grad).backward();
  reference.objective(expected, options.entropy_grad).backward();
  EXPECT_EQ(chunked.hidden.grad().scalar_type(), dtype);
  EXPECT_LT(distance(chunked.hidden.grad(), reference.hidden.grad()), tolerance);
  EXPECT_LT(distance(chunked.weight.grad(), reference.weight.grad()), tolerance);
}

TEST(TokenLogProbs, EqualLogSoftmaxInOneChunk) { expect_plain(13, {}); }

TEST(TokenLogProbs, EqualLogSoftmaxInManyChunks) { expect_plain(13, {.chunk_tokens = 4}); }

TEST(TokenLogProbs, EqualLogSoftmaxForOneToken) { expect_plain(1, {.chunk_tokens = 4}); }

TEST(TokenLogProbs, DivideLogitsByTheTemperature) { expect_plain(13, {.temperature = 0.7, .chunk_tokens = 5}); }

TEST(TokenLogProbs, LetTheEntropyGradientThroughWhenAsked) {
  expect_plain(13, {.temperature = 1.3, .chunk_tokens = 5, .entropy_grad = true});
}

// Logits are rounded to bf16: about 2^-9 of a logit of size 4.
TEST(TokenLogProbs, AreCloseInBf16) {
  expect_plain(40, {.chunk_tokens = 16, .entropy_grad = true}, 0.15, at::kBFloat16);
}

TEST(TokenLogProbs, StopTheEntropyGradientOtherwise) {
  const Case c(5);
  EXPECT_FALSE(token_log_probs(c.hidden, c.weight, c.targets, {}).entropy.requires_grad());
  EXPECT_TRUE(token_log_probs(c.hidden, c.weight, c.targets, {.entropy_grad = true}).entropy.requires_grad());
}

TEST(TokenLogProbs, FlowThroughEntropyAlone) {
  const Case c(7);
  const Case reference = c.in_fp64();
  (token_log_probs(c.hidden, c.weight, c.targets, {.chunk_tokens = 3, .entropy_grad = true}).entropy * c.entropy_weight)
      .sum()
      .backward();
  (plain(reference, 1.0).entropy * c.entropy_weight).sum().backward();
  EXPECT_LT(distance(c.hidden.grad(), reference.hidden.grad()), 1e-5);
}

TEST(TokenLogProbs, DoNotDependOnTheChunk) {
  const Case c(50);
  const auto whole = token_log_probs(c.hidden, c.weight, c.targets, {});
  const auto parts = token_log_probs(c.hidden, c.weight, c.targets, {.chunk_tokens = 7});
  EXPECT_LT(distance(whole.log_probs, parts.log_probs), 1e-6);
}

TEST(TokenLogProbs, AreEmptyForNoTokens) {
  const Case c(0);
  const auto out = token_log_probs(c.hidden, c.weight, c.targets, {});
  EXPECT_EQ(out.log_probs.numel(), 0);
  out.log_probs.sum().backward();
  EXPECT_EQ(c.weight.grad().abs().max().item<double>(), 0.0);
}

TEST(TokenLogProbs, StayFiniteForHugeLogits) {
  const Case c(6);
  const auto out = token_log_probs(1e4 * c.hidden, c.weight, c.targets, {.entropy_grad = true});
  (out.log_probs.sum() + out.entropy.sum()).backward();
  EXPECT_TRUE(at::isfinite(out.log_probs).all().item<bool>());
  EXPECT_TRUE(at::isfinite(c.weight.grad()).all().item<bool>());
}

TEST(TokenLogProbs, RefuseATemperatureOfZero) {
  const Case c(2);
  EXPECT_THROW(token_log_probs(c.hidden, c.weight, c.targets, {.temperature = 0.0}), std::logic_error);
}

// The share of one token in a large vocabulary's gradient is small: chunk sums in bf16 would lose it.
TEST(TokenLogProbs, SumTheWeightGradientInFp32OverChunks) {
  at::manual_seed(2);
  const int64_t tokens = 512;
  const auto hidden = at::rand({tokens, kHidden}).to(at::kBFloat16);
  const auto weight = at::zeros({kVocabulary, kHidden}, at::kBFloat16).set_requires_grad(true);
  const auto targets = at::zeros({tokens}, at::kLong);
  token_log_probs(hidden, weight, targets, {.chunk_tokens = 2}).log_probs.sum().backward();
  const double p = 1.0 / static_cast<double>(kVocabulary);
  const auto expected = hidden.to(at::kDouble).sum(0) * (1.0 - p);  // row of the one target
  EXPECT_LT(((weight.grad()[0] - expected) / expected).abs().max().item<double>(), 1e-2);
}

// A loss of log-probabilities and entropies that is not linear in them.
at::Tensor some_loss(const Case& c, int64_t begin, const at::Tensor& log_probs, const at::Tensor& entropy) {
  const auto part = [&](const at::Tensor& x) {
    return x.narrow(0, begin, log_probs.size(0)).to(log_probs.scalar_type());
  };
  return (log_probs.exp() * part(c.log_prob_weight)).sum() + (entropy * entropy * part(c.entropy_weight)).sum();
}

TEST(HeadLoss, EqualsTheLossOfAllLogitsAtOnce) {
  for (const int64_t tokens : {1, 13, 40}) {
    for (const bool entropy_grad : {false, true}) {
      const Case chunked(tokens);
      const Case reference = chunked.in_fp64();
      const LmHeadOptions options{.temperature = 0.7, .chunk_tokens = 5, .entropy_grad = entropy_grad};
      const auto head = head_loss(chunked.hidden, chunked.weight, chunked.targets, options,
                                  [&](int64_t begin, const at::Tensor& log_probs, const at::Tensor& entropy) {
                                    return some_loss(chunked, begin, log_probs, entropy);
                                  });
      const auto expected = plain(reference, 0.7);
      const auto loss =
          some_loss(reference, 0, expected.log_probs, entropy_grad ? expected.entropy : expected.entropy.detach());
      EXPECT_NEAR(head.loss.item<double>(), loss.item<double>(), 1e-4);
      EXPECT_LT(distance(head.log_probs, expected.log_probs), 1e-5);
      EXPECT_LT(distance(head.entropy, expected.entropy), 1e-5);
      EXPECT_FALSE(head.log_probs.requires_grad() || head.entropy.requires_grad());
      (3.0 * head.loss).backward();
      (3.0 * loss).backward();
      // Entropies near 4 enter squared, three times: gradients are of the order of 10, of which this is a few roundings
      // of fp32.
      EXPECT_LT(distance(chunked.hidden.grad(), reference.hidden.grad()), 4e-5);
      EXPECT_LT(distance(chunked.weight.grad(), reference.weight.grad()), 1e-4);
    }
  }
}

// One matrix of a chunk's logits, which becomes their gradient, and oneDNN's copy of it for the weight's gradient, with
// the gradients of hidden states and weight beside them.
TEST(HeadLoss, HoldsTheLogitsOfOneChunkAtATime) {
  constexpr int64_t kTokens = 2048, kWords = 4096, kWidth = 16, kChunk = 64;
  at::manual_seed(4);
  const auto hidden = at::randn({kTokens, kWidth}).set_requires_grad(true),
             weight = at::randn({kWords, kWidth}).set_requires_grad(true);
  const auto targets = at::randint(kWords, {kTokens}, at::kLong);
  const auto peak = [&](int64_t chunk) {
    const testing::LimitedMemory memory(int64_t{1} << 40);
    head_loss(hidden, weight, targets, {.chunk_tokens = chunk},
              [](int64_t, const at::Tensor& log_probs, const at::Tensor&) { return log_probs.sum(); })
        .loss.backward();
    return memory.most();
  };
  const int64_t whole = peak(kTokens), chunked = peak(kChunk);
  EXPECT_GT(whole, kTokens * kWords * 4);
  EXPECT_LT(whole, kTokens * kWords * 4 * 9 / 4);
  EXPECT_LT(chunked, whole / 8);
}

std::multiset<std::string> called;  // LibTorch's operators

std::unique_ptr<at::ObserverContext> note(const at::RecordFunction& call) {
  called.insert(call.name());
  return nullptr;
}

// Sums over indices wait for the device where LibTorch is asked for a fixed order (scatter_add_, index_put_), as
// reading a number does.
TEST(HeadLoss, CallsNothingThatADeviceWaitsForInAFixedOrder) {
  const Case c(40);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  called.clear();
  const auto handle = at::addGlobalCallback(at::RecordFunctionCallback(note));
  head_loss(c.hidden, c.weight, c.targets, {.chunk_tokens = 8, .entropy_grad = true},
            [&](int64_t begin, const at::Tensor& log_probs, const at::Tensor& entropy) {
              return some_loss(c, begin, log_probs, entropy);
            })
      .loss.backward();
  token_log_probs(c.hidden, c.weight, c.targets, {.chunk_tokens = 8}).log_probs.sum().backward();
  at::removeCallback(handle);
  at::globalContext().setDeterministicAlgorithms(false, false);
  EXPECT_GT(called.count("aten::mm") + called.count("mkldnn::_linear_pointwise"), 0u);
  for (const char* name : {"aten::scatter_add_", "aten::scatter_add", "aten::index_put_", "aten::_index_put_impl_",
                           "aten::item", "aten::_local_scalar_dense", "aten::nonzero"})
    EXPECT_EQ(called.count(name), 0u) << name;
}

TEST(HeadLoss, IsZeroForNoTokens) {
  const Case c(0);
  const auto head = head_loss(c.hidden, c.weight, c.targets, {},
                              [](int64_t, const at::Tensor& x, const at::Tensor&) { return x.sum(); });
  head.loss.backward();
  EXPECT_EQ(head.loss.item<double>(), 0.0);
  EXPECT_EQ(c.weight.grad().abs().max().item<double>(), 0.0);
}

TEST(HeadLoss, LeavesAWeightThatNeedsNoGradientAlone) {
  const Case c(7);
  const auto frozen = c.weight.detach();
  head_loss(c.hidden, frozen, c.targets, {}, [](int64_t, const at::Tensor& x, const at::Tensor&) {
    return x.sum();
  }).loss.backward();
  EXPECT_TRUE(c.hidden.grad().defined());
  EXPECT_FALSE(frozen.grad().defined());
}

TEST(TokenLogProbs, LeaveTheEntropyOutWhenAsked) {
  const Case c(7);
  const auto out = token_log_probs(c.hidden, c.weight, c.targets, {.entropy = false});
  EXPECT_FALSE(out.entropy.defined());
  EXPECT_LT(distance(out.log_probs, token_log_probs(c.hidden, c.weight, c.targets, {}).log_probs), 1e-9);
}

// The definition: the set that top-k and top-p leave, and the target, found by sorting; a softmax over it alone.
TokenLogProbs plain_truncated(const Case& c, const LmHeadOptions& options) {
  const auto logits = at::linear(c.hidden, c.weight) / options.temperature;
  const auto sorted = logits.detach().sort(/*stable=*/true, -1, /*descending=*/true);
  const auto order = std::get<1>(sorted);
  auto probabilities = at::softmax(std::get<0>(sorted), -1);
  auto stays = at::ones_like(probabilities, at::kBool);
  if (options.truncation.top_k > 0) stays.slice(1, options.truncation.top_k).fill_(false);
  probabilities = probabilities * stays;
  probabilities = probabilities / probabilities.sum(-1, true);
  stays = stays.logical_and(probabilities.cumsum(-1) - probabilities < options.truncation.top_p);
  auto mask = at::zeros_like(stays).scatter(1, order, stays);
  mask = mask.scatter(1, c.targets.unsqueeze(1), true);
  const auto log_probs = at::log_softmax(logits.masked_fill(mask.logical_not(), -INFINITY), -1);
  const auto safe = log_probs.masked_fill(mask.logical_not(), 0.0);
  const auto of_target = [&](const at::Tensor& x) { return x.gather(1, c.targets.unsqueeze(1)).squeeze(1); };
  return {of_target(log_probs), -(log_probs.exp() * safe).sum(-1),
          (of_target(at::log_softmax(logits, -1)) - of_target(log_probs)).detach()};
}

TEST(TruncatedHead, IsTheRenormalisedDistributionInValueAndGradient) {
  for (const auto& truncation :
       {HeadTruncation{.top_p = 0.9}, HeadTruncation{.top_k = 10}, HeadTruncation{.top_k = 30, .top_p = 0.6}}) {
    for (const bool entropy_grad : {false, true}) {
      const LmHeadOptions options{
          .temperature = 0.8, .chunk_tokens = 5, .entropy_grad = entropy_grad, .truncation = truncation};
      const Case chunked(13);
      const Case reference = chunked.in_fp64();
      const auto out = token_log_probs(chunked.hidden, chunked.weight, chunked.targets, options);
      const auto expected = plain_truncated(reference, options);
      EXPECT_LT(distance(out.log_probs, expected.log_probs), 1e-5);
      EXPECT_LT(distance(out.entropy, expected.entropy), 1e-5);
      EXPECT_LT(distance(out.kept, expected.kept), 1e-5);
      chunked.objective(out, entropy_grad).backward();
      reference.objective(expected, entropy_grad).backward();
      EXPECT_LT(distance(chunked.hidden.grad(), reference.hidden.grad()), 1e-5);
      EXPECT_LT(distance(chunked.weight.grad(), reference.weight.grad()), 1e-5);

      const Case once(13);
      const auto loss = head_loss(once.hidden, once.weight, once.targets, options,
                                  [&](int64_t begin, const at::Tensor& log_probs, const at::Tensor& entropy) {
                                    const int64_t n = log_probs.size(0);
                                    const auto value = (log_probs * once.log_prob_weight.narrow(0, begin, n)).sum();
                                    if (!entropy_grad) return value;
                                    return value + (entropy * once.entropy_weight.narrow(0, begin, n)).sum();
                                  });
      loss.loss.backward();
      EXPECT_LT(distance(loss.kept, expected.kept), 1e-5);
      EXPECT_LT(distance(once.hidden.grad(), reference.hidden.grad()), 1e-5);
      EXPECT_LT(distance(once.weight.grad(), reference.weight.grad()), 1e-5);
    }
  }
}

TEST(TruncatedHead, IsTheWholeOneWhereNothingIsLeftOut) {
  const Case a(13), b(13);
  const auto whole = token_log_probs(a.hidden, a.weight, a.targets, {});
  const auto all = token_log_probs(b.hidden, b.weight, b.targets, {.truncation = {.top_k = kVocabulary}});
  EXPECT_EQ(distance(whole.log_probs, all.log_probs), 0.0);
  EXPECT_LT(all.kept.abs().max().item<double>(), 1e-6);
  EXPECT_FALSE(whole.kept.defined());
}

}  // namespace
}  // namespace grpo::nn
