// What a decode step costs the host, and that mistakes in it are found.
#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/record_function.h>

#include <numeric>

#include "device/device_fixture.h"
#include "grpo/kernels/cuda.h"
#include "grpo/kernels/graph.h"
#include "grpo/kernels/upload.h"
#include "kernels/paged_cache.h"
#include "rollout/small_engine.h"

namespace grpo::host_device {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// Somebody's mistake in a decode step: it happens where the step has looked up its rows' last tokens.
class Mistake {
 public:
  explicit Mistake(std::function<void()> mistake) {
    made() = std::move(mistake);
    handle_ = at::addGlobalCallback(at::RecordFunctionCallback(&look).scopes({at::RecordScope::FUNCTION}));
  }
  ~Mistake() { at::removeCallback(handle_); }
  Mistake(const Mistake&) = delete;

 private:
  static std::function<void()>& made() {
    static std::function<void()> mistake;
    return mistake;
  }
  static std::unique_ptr<at::ObserverContext> look(const at::RecordFunction& call) {
    if (std::string(call.name()) == "aten::index_select") made()();
    return nullptr;
  }

  at::CallbackHandle handle_ = 0;
};

void wait_for_the_device() { cudaStreamSynchronize(c10::cuda::getCurrentCUDAStream().stream()); }

class DecodeSteps : public HostDevice {
 protected:
  void SetUp() override { ASSERT_EQ(kernels::load_cuda(), ""); }

  // Of `steps` steps of two sequences, recorded as a graph before.
  static Counts counts_of(rollout::Engine& engine, int64_t steps) {
    const Counts before = counts();
    engine.generate(testing::requests_of({9}, 2), {.max_new_tokens = steps, .ignore_eos = true}, testing::kKey);
    Counts used = counts();
    for (auto member : {&Counts::kernels, &Counts::graphs, &Counts::copies_in, &Counts::copies_out, &Counts::waits,
                        &Counts::event_waits})
      used.*member -= before.*member;
    return used;
  }

  // Differences between 30 and 10 steps are those of 20 steps.
  static Counts counts_of_20(rollout::Engine& engine) {
    counts_of(engine, 30);
    const Counts few = counts_of(engine, 10);
    Counts used = counts_of(engine, 30);
    for (auto member : {&Counts::kernels, &Counts::graphs, &Counts::copies_in, &Counts::copies_out, &Counts::waits,
                        &Counts::event_waits})
      used.*member -= few.*member;
    return used;
  }
};

TEST_F(DecodeSteps, StayWithinTheirBudget) {
  const auto model = testing::small_model(at::kFloat, at::kCUDA);
  rollout::Engine engine(*model, {.max_sequences = 4, .graphs = {true}});
  const Counts used = counts_of_20(engine);
  const auto per_step = [&](int64_t Counts::*member) { return static_cast<double>(used.*member) / 20.0; };
  std::printf(
      "a decode step of 2 layers: %.2f kernels, %.2f graphs, %.2f copies in, %.2f out, %.2f waits, %.2f event waits\n",
      per_step(&Counts::kernels), per_step(&Counts::graphs), per_step(&Counts::copies_in),
      per_step(&Counts::copies_out), per_step(&Counts::waits), per_step(&Counts::event_waits));
  EXPECT_EQ(per_step(&Counts::graphs), 1.0);
  EXPECT_EQ(per_step(&Counts::waits), 0.0);        // the host is ahead of the device
  EXPECT_LE(per_step(&Counts::event_waits), 1.0);  // for the tokens of an earlier step
  EXPECT_LE(per_step(&Counts::copies_out), 1.0);   // ids and log-probabilities together
  EXPECT_LE(per_step(&Counts::copies_in), 1.0);    // the tables of the step together
  EXPECT_LE(per_step(&Counts::kernels), 24.0);
}

TEST_F(DecodeSteps, ShowAWaitOfTheHost) {
  const auto model = testing::small_model(at::kFloat, at::kCUDA);
  const Mistake mistake(wait_for_the_device);
  rollout::Engine engine(*model, {.max_sequences = 4, .graphs = {false}});
  EXPECT_GE(counts_of_20(engine).waits, 20);
}

TEST_F(DecodeSteps, AreNotRecordedWithAWaitOfTheHost) {
  const auto model = testing::small_model(at::kFloat, at::kCUDA);
  const Mistake mistake(wait_for_the_device);
  rollout::Engine engine(*model, {.max_sequences = 4, .graphs = {true}});
  EXPECT_ANY_THROW(counts_of(engine, 20));
  EXPECT_THAT(take_errors(), Contains(HasSubstr("cudaStreamSynchronize: the stream is recorded")));
}

TEST_F(DecodeSteps, AreNotRecordedWithACopyFromPageableMemory) {
  const auto model = testing::small_model(at::kFloat, at::kCUDA);
  auto there = at::zeros({4}, device());
  const auto pageable = at::ones({4});
  const Mistake mistake([&] {
    cudaMemcpyAsync(there.mutable_data_ptr(), pageable.const_data_ptr(), there.nbytes(), cudaMemcpyHostToDevice,
                    c10::cuda::getCurrentCUDAStream().stream());
  });
  rollout::Engine engine(*model, {.max_sequences = 4, .graphs = {true}});
  EXPECT_ANY_THROW(counts_of(engine, 20));
  EXPECT_THAT(take_errors(), Contains(HasSubstr("from pageable memory while the stream is recorded")));
}

// Tokens are read behind their copy.
TEST_F(DecodeSteps, ShowTokensThatAreReadTooEarly) {
  const auto model = testing::small_model(at::kFloat, at::kCUDA);
  const auto requests = testing::requests_of({4, 9}, 2);
  const auto generate = [&] {
    rollout::Engine engine(*model, {.max_sequences = 4});
    return engine.generate(requests, testing::kGeneration, testing::kKey);
  };
  const auto expected = generate();
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    set_seed(seed);
    testing::expect_equal(expected, generate());
  }
  plant(Fault::kNoEventWaits);
  EXPECT_ANY_THROW(generate());
  plant(Fault::kNone);
  set_seed(0);
  take_errors();
}

// Heads of 64 in bf16, whose attention FlashInfer plans.
class Plans : public DecodeSteps {
 protected:
  static std::unique_ptr<kernels::AttentionPlanner> new_planner() {
    return kernels::plan_attention({.heads = 2, .kv_heads = 1, .head_dim = 64, .page_size = 16, .dtype = at::kBFloat16},
                                   at::kCUDA,
                                   /*page_capacity=*/0);
  }

  // For a token more of each of the first `count` sequences, which have 50.
  kernels::PagedLayout plan(int64_t count, kernels::AttentionPlanner& planner) {
    std::vector<int64_t> sequences(static_cast<size_t>(count)), ones(sequences.size(), 1),
        lengths(sequences.size(), 50);
    std::iota(sequences.begin(), sequences.end(), 0);
    kernels::Upload upload(at::kCUDA, /*in_place=*/false);
    return planner.plan(cache_.layout(sequences, ones, lengths), upload);
  }
  kernels::PagedLayout plan(int64_t count) { return plan(count, *planner_); }

  // Gives the device a lot to do on another stream, as beside an update. What it returns is used until that is done.
  at::Tensor keep_busy() {
    auto x = at::zeros({1}, device());
    c10::cuda::device_synchronize();
    const c10::cuda::CUDAStreamGuard guard(other_);
    for (int i = 0; i < 1000; ++i) x.add_(1.0);
    return x;
  }

  // Many more than there are buffers.
  void plan_many() {
    const auto used = keep_busy();
    for (int64_t i = 0; i < 60; ++i) plan(2 + i);
    c10::cuda::device_synchronize();
  }

  const c10::cuda::CUDAStream other_ = c10::cuda::getStreamFromPool();

  const testing::PagedCache cache_{64, 64, 16, 1, 64, at::kBFloat16};
  const std::unique_ptr<kernels::AttentionPlanner> planner_ = new_planner();
};

// Each is copied from one of a few pinned buffers.
TEST_F(Plans, AreNotRewrittenBeforeTheyAreCopied) {
  for (int i = 0; i < 8; ++i) plan(64);  // buffers are large enough
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    set_seed(seed);
    plan_many();
  }
  EXPECT_THAT(take_errors(), ::testing::IsEmpty());
  plant(Fault::kNoEventWaits);
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    set_seed(seed);
    try {
      plan_many();
    } catch (const std::exception&) {
    }
  }
  plant(Fault::kNone);
  set_seed(0);
  EXPECT_THAT(take_errors(), Contains(HasSubstr("pinned memory was rewritten before its copy")));
}

// As where a rollout is stopped while its last steps have not run, and the next one begins.
TEST_F(Plans, AreCopiedAlsoWhereTheirPlannerIsGone) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    set_seed(seed);
    const auto used = keep_busy();
    for (int64_t i = 0; i < 20; ++i) plan(2 + i % 5, *new_planner());
    c10::cuda::device_synchronize();
  }
  set_seed(0);
  EXPECT_THAT(take_errors(), ::testing::IsEmpty());
}

// The workspace grows with the batch; a graph that was recorded with the smaller one must not be replayed.
TEST_F(Plans, ShowAGraphThatKeepsAFreedWorkspace) {
  const kernels::PagedKv kv{at::zeros_like(cache_.kv.keys).to(at::kCUDA),
                            at::zeros_like(cache_.kv.values).to(at::kCUDA)};
  const auto queries = at::zeros({2, 2, 64}, device().dtype(at::kBFloat16));
  const auto layout = plan(2);
  const auto attend = [&] { kernels::paged_attention(queries, kv, layout, 0.125); };
  attend();
  const auto graph = kernels::capture_graph(at::kCUDA, attend);
  graph->replay();
  plan(64);
  EXPECT_ANY_THROW(graph->replay());
  EXPECT_THAT(take_errors(), Contains(HasSubstr("uses memory that was freed")));
}

}  // namespace
}  // namespace grpo::host_device
