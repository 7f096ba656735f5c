#include "rollout/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "grpo/base/random.h"

namespace grpo::rollout {
namespace {

// Plays the engine with a cache that remembers which token each row of a page holds. Tokens are random numbers; a
// completion's length is known beforehand.
class Simulation {
 public:
  Simulation(std::vector<Request> requests, std::vector<int64_t> lengths, const Scheduler::Limits& limits)
      : requests_(std::move(requests)), lengths_(std::move(lengths)), limits_(limits), scheduler_(requests_, limits) {
    memory_.assign(static_cast<size_t>(limits.num_pages),
                   std::vector<int64_t>(static_cast<size_t>(limits.page_size), -1));
  }

  void run() {
    for (int step = 0; !scheduler_.done(); ++step) {
      ASSERT_LT(step, 100000) << "no end";
      resume();
      start();
      for (auto admitted = scheduler_.admit(); !admitted.empty(); admitted = scheduler_.admit()) {
        prefill(admitted);
        start();
      }
      check_holders();
      decode();
      ASSERT_FALSE(::testing::Test::HasFailure());
    }
    EXPECT_EQ(scheduler_.pages().num_free(), limits_.num_pages);
  }

  // (request, sample) in the order in which they started.
  const std::vector<std::pair<size_t, int64_t>>& started() const { return started_; }
  std::multiset<std::pair<size_t, int64_t>> finished() const { return finished_; }
  int64_t num_preempted() const { return scheduler_.num_preempted(); }
  int64_t num_copies() const { return num_copies_; }
  int64_t most_running() const { return most_running_; }

 private:
  int64_t& row(const std::vector<int32_t>& pages, int64_t position) {
    return memory_.at(static_cast<size_t>(pages.at(
        static_cast<size_t>(position / limits_.page_size))))[static_cast<size_t>(position % limits_.page_size)];
  }

  std::vector<int64_t> tokens_of(const Sequence& sequence) const {
    auto tokens = requests_[sequence.request].prompt_ids;
    tokens.insert(tokens.end(), sequence.completion.ids.begin(), sequence.completion.ids.end());
    return tokens;
  }

  void resume() {
    const size_t count = scheduler_.resume();
    auto& running = scheduler_.running();
    for (size_t i = running.size() - count; i < running.size(); ++i) {
      const Sequence& sequence = *running[i];
      const auto tokens = tokens_of(sequence);
      ASSERT_EQ(sequence.cached, static_cast<int64_t>(tokens.size()) - 1);
      for (int64_t t = 0; t < sequence.cached; ++t) row(sequence.pages, t) = tokens[static_cast<size_t>(t)];
    }
  }

  void prefill(const std::vector<const WaitingPrompt*>& prompts) {
    int64_t tokens = 0;
    for (const WaitingPrompt* prompt : prompts) {
      for (int64_t t = 0; t < prompt->tokens; ++t)
        row(prompt->pages, t) = requests_[prompt->request].prompt_ids[static_cast<size_t>(t)];
      tokens += prompt->tokens;
    }
    EXPECT_TRUE(prompts.size() == 1 || tokens <= limits_.prefill_tokens);
  }

  void start() {
    std::vector<PageCopy> copies;
    const size_t count = scheduler_.start_samples(copies);
    for (const auto& copy : copies) memory_[static_cast<size_t>(copy.to)] = memory_[static_cast<size_t>(copy.from)];
    num_copies_ += static_cast<int64_t>(copies.size());
    auto& running = scheduler_.running();
    for (size_t i = running.size() - count; i < running.size(); ++i) {
      started_.emplace_back(running[i]->request, running[i]->sample);
      running[i]->completion.ids.push_back(next_token_++);
    }
    most_running_ = std::max(most_running_, static_cast<int64_t>(running.size()));
    retire();
  }

  void decode() {
    const bool has_room = scheduler_.has_room();
    const int64_t preempted = scheduler_.num_preempted();
    scheduler_.make_room();
    EXPECT_TRUE(!has_room || scheduler_.num_preempted() == preempted);
    for (const auto& running : scheduler_.running()) {
      Sequence& sequence = *running;
      // Nobody else holds the page that is written.
      const auto page = sequence.pages.at(static_cast<size_t>(sequence.cached / limits_.page_size));
      EXPECT_EQ(scheduler_.pages().holders(page), 1);
      row(sequence.pages, sequence.cached) = sequence.completion.ids.back();
      ++sequence.cached;
    }
    for (const auto& running : scheduler_.running()) {
      Sequence& sequence = *running;
      const auto tokens = tokens_of(sequence);
      for (int64_t t = 0; t < sequence.cached; ++t)
        ASSERT_EQ(row(sequence.pages, t), tokens[static_cast<size_t>(t)]) << "token " << t;
      sequence.completion.ids.push_back(next_token_++);
    }
    retire();
  }

  void retire() {
    for (const auto& sequence : scheduler_.retire([this](const Sequence& s) {
           return static_cast<int64_t>(s.completion.ids.size()) ==
                  lengths_[(s.request + static_cast<size_t>(s.sample)) % lengths_.size()];
         })) {
      finished_.emplace(sequence->request, sequence->sample);
      EXPECT_TRUE(sequence->pages.empty());
    }
  }

  void check_holders() {
    std::map<int32_t, int> holders;
    std::set<int64_t> slots;
    for (const auto& sequence : scheduler_.running()) {
      for (const int32_t page : sequence->pages) ++holders[page];
      EXPECT_TRUE(slots.insert(sequence->slot).second && sequence->slot < limits_.max_sequences);
    }
    int64_t held = 0;
    for (int32_t page = 0; page < limits_.num_pages; ++page) {
      // A prompt that waits in the cache holds its pages once more.
      EXPECT_GE(scheduler_.pages().holders(page), holders[page]);
      EXPECT_LE(scheduler_.pages().holders(page), holders[page] + 1);
      held += scheduler_.pages().holders(page) > 0 ? 1 : 0;
    }
    EXPECT_EQ(held + scheduler_.pages().num_free(), limits_.num_pages);
    EXPECT_LE(static_cast<int64_t>(scheduler_.running().size()), limits_.max_sequences);
  }

  std::vector<Request> requests_;
  std::vector<int64_t> lengths_;
  Scheduler::Limits limits_;
  Scheduler scheduler_;
  std::vector<std::vector<int64_t>> memory_;
  std::vector<std::pair<size_t, int64_t>> started_;
  std::multiset<std::pair<size_t, int64_t>> finished_;
  int64_t next_token_ = 1'000'000;
  int64_t num_copies_ = 0;
  int64_t most_running_ = 0;
};

std::vector<Request> requests_of(const std::vector<std::pair<int64_t, int64_t>>& lengths_and_samples) {
  std::vector<Request> requests;
  int64_t token = 0;
  for (const auto& [length, samples] : lengths_and_samples) {
    Request request{.num_samples = samples};
    for (int64_t t = 0; t < length; ++t) request.prompt_ids.push_back(token++);
    requests.push_back(request);
  }
  return requests;
}

constexpr Scheduler::Limits kRoomy{.max_sequences = 8, .page_size = 4, .num_pages = 100, .prefill_tokens = 64};

TEST(Scheduler, StartsSamplesInRequestOrder) {
  Simulation simulation(requests_of({{5, 2}, {8, 3}, {3, 1}}), {4}, kRoomy);
  simulation.run();
  using Pairs = std::vector<std::pair<size_t, int64_t>>;
  EXPECT_EQ(simulation.started(), (Pairs{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, 2}, {2, 0}}));
  EXPECT_EQ(simulation.most_running(), 6);
}

TEST(Scheduler, CopiesTheLastPromptPageForAllSamplesButOne) {
  Simulation partial(requests_of({{5, 4}}), {6}, kRoomy);
  partial.run();
  EXPECT_EQ(partial.num_copies(), 3);
  Simulation whole(requests_of({{8, 4}}), {6}, kRoomy);
  whole.run();
  EXPECT_EQ(whole.num_copies(), 0);
}

TEST(Scheduler, RefillsASlotWhenASequenceEnds) {
  const auto requests = requests_of({{4, 1}, {4, 1}, {4, 1}});
  Scheduler scheduler(requests, {.max_sequences = 2, .page_size = 4, .num_pages = 20, .prefill_tokens = 64});
  std::vector<PageCopy> copies;
  EXPECT_EQ(scheduler.admit().size(), 2u);
  EXPECT_EQ(scheduler.start_samples(copies), 2u);
  EXPECT_TRUE(scheduler.admit().empty());
  scheduler.retire([](const Sequence& sequence) { return sequence.request == 0; });
  ASSERT_EQ(scheduler.admit().size(), 1u);
  EXPECT_EQ(scheduler.start_samples(copies), 1u);
  EXPECT_EQ(scheduler.running().back()->request, 2u);
}

// Of sixteen slots one in eight may be idle: prompts enter three at a time, or when fewer run.
TEST(Scheduler, LetsPromptsWaitForEachOther) {
  const auto requests = requests_of(std::vector<std::pair<int64_t, int64_t>>(22, {4, 1}));
  Scheduler scheduler(
      requests, {.max_sequences = 16, .page_size = 4, .num_pages = 100, .prefill_tokens = 64, .idle_share = 0.125});
  std::vector<PageCopy> copies;
  const auto finish = [&](std::vector<size_t> finished) {
    scheduler.retire(
        [&](const Sequence& s) { return std::find(finished.begin(), finished.end(), s.request) != finished.end(); });
    const size_t admitted = scheduler.admit().size();
    scheduler.start_samples(copies);
    return admitted;
  };
  EXPECT_EQ(finish({}), 16u);
  EXPECT_EQ(finish({5}), 0u);
  EXPECT_EQ(finish({2, 9}), 3u);
  EXPECT_EQ(finish({0}), 0u);
  EXPECT_EQ(finish({1, 3, 4, 6, 7}), 3u);  // all that are left
  EXPECT_EQ(scheduler.running().size(), 13u);
}

TEST(Scheduler, FillsAllSlotsAtFirstInHoweverManyPasses) {
  const auto requests = requests_of(std::vector<std::pair<int64_t, int64_t>>(40, {4, 1}));
  Scheduler scheduler(
      requests, {.max_sequences = 33, .page_size = 4, .num_pages = 100, .prefill_tokens = 12, .idle_share = 0.125});
  std::vector<PageCopy> copies;
  const auto fill = [&] {
    int passes = 0;
    for (; !scheduler.admit().empty(); ++passes) scheduler.start_samples(copies);
    return passes;
  };
  EXPECT_EQ(fill(), 11);
  EXPECT_EQ(scheduler.running().size(), 33u);
  scheduler.retire([&](const Sequence& s) { return s.request < 4; });
  EXPECT_EQ(fill(), 2);  // three prompts and one
  EXPECT_EQ(scheduler.running().size(), 33u);
  scheduler.retire([&](const Sequence& s) { return s.request < 7; });
  EXPECT_EQ(fill(), 0);
}

TEST(Scheduler, StartsAPromptThatWouldWaitForNobody) {
  Scheduler scheduler(requests_of({{4, 1}, {4, 1}}),
                      {.max_sequences = 1, .page_size = 4, .num_pages = 20, .prefill_tokens = 64, .idle_share = 0.5});
  std::vector<PageCopy> copies;
  EXPECT_EQ(scheduler.admit().size(), 1u);
  scheduler.start_samples(copies);
  EXPECT_TRUE(scheduler.admit().empty());
  scheduler.retire([](const Sequence&) { return true; });
  EXPECT_EQ(scheduler.admit().size(), 1u);
}

TEST(Scheduler, LimitsTheTokensOfAPrefill) {
  const auto requests = requests_of({{30, 1}, {30, 1}, {90, 1}, {2, 1}});
  Scheduler scheduler(requests, {.max_sequences = 8, .page_size = 4, .num_pages = 100, .prefill_tokens = 64});
  std::vector<PageCopy> copies;
  std::vector<size_t> passes;
  for (auto admitted = scheduler.admit(); !admitted.empty(); admitted = scheduler.admit()) {
    passes.push_back(admitted.size());
    scheduler.start_samples(copies);
  }
  EXPECT_EQ(passes, (std::vector<size_t>{2, 1, 1}));
}

TEST(Scheduler, PreemptsTheYoungestAndBringsItBackFirst) {
  const auto requests = requests_of({{4, 1}, {4, 1}, {4, 1}});
  // Room for the three prompts and one page more.
  Scheduler scheduler(requests, {.max_sequences = 8, .page_size = 4, .num_pages = 6, .prefill_tokens = 64});
  std::vector<PageCopy> copies;
  scheduler.admit();
  scheduler.start_samples(copies);
  ASSERT_EQ(scheduler.running().size(), 3u);
  for (int token = 0; token < 5; ++token) {
    scheduler.make_room();
    for (auto& sequence : scheduler.running()) ++sequence->cached;
  }
  EXPECT_EQ(scheduler.num_preempted(), 1);
  ASSERT_EQ(scheduler.running().size(), 2u);
  EXPECT_EQ(scheduler.resume(), 0u);
  scheduler.retire([](const Sequence& sequence) { return sequence.request == 0; });
  EXPECT_EQ(scheduler.resume(), 1u);
  EXPECT_EQ(scheduler.running().back()->request, 2u);
}

TEST(Scheduler, FinishesEverySampleOnceWhateverTheRoom) {
  const base::RandomKey key{3, base::stream_id("scheduler")};
  int64_t preempted = 0;
  for (uint64_t trial = 0; trial < 300; ++trial) {
    uint32_t counter = 0;
    const auto below = [&](uint64_t bound) {
      return static_cast<int64_t>(base::uniform_below(key, trial, counter++, bound));
    };
    std::vector<std::pair<int64_t, int64_t>> shapes;
    std::vector<int64_t> lengths;
    for (int64_t i = below(12); i >= 0; --i) shapes.emplace_back(1 + below(20), below(6));
    for (int64_t i = below(5); i >= 0; --i) lengths.push_back(1 + below(25));
    int64_t longest = 0;
    for (const auto& shape : shapes)
      longest = std::max(longest, shape.first + *std::max_element(lengths.begin(), lengths.end()));
    const int64_t page_size = 1 + below(7);
    const int64_t least = (longest + page_size - 1) / page_size + 1;
    Simulation simulation(requests_of(shapes), lengths,
                          {.max_sequences = 1 + below(10),
                           .page_size = page_size,
                           .num_pages = least + below(20),
                           .prefill_tokens = 1 + below(60),
                           .idle_share = trial % 2 == 0 ? 0.0 : 0.1 * static_cast<double>(below(12))});
    simulation.run();
    ASSERT_FALSE(HasFailure()) << "trial " << trial;
    std::multiset<std::pair<size_t, int64_t>> expected;
    for (size_t i = 0; i < shapes.size(); ++i) {
      for (int64_t sample = 0; sample < shapes[i].second; ++sample) expected.emplace(i, sample);
    }
    EXPECT_EQ(simulation.finished(), expected) << "trial " << trial;
    EXPECT_TRUE(std::is_sorted(simulation.started().begin(), simulation.started().end())) << "trial " << trial;
    preempted += simulation.num_preempted();
  }
  EXPECT_GT(preempted, 100) << "the trials leave too much room";
}

}  // namespace
}  // namespace grpo::rollout
