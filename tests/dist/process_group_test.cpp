// Several processes that train together: what they exchange, and how they end when one goes wrong. Seconds are
// generous: the machine may be busy.
#include <gmock/gmock.h>

#include <csignal>
#include <sstream>

#include "dist/worker_ranks.h"

namespace grpo::dist {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kStart = 60;  // LibTorch in several processes on one core
constexpr double kSoon = 20;   // after the failure

std::string lines_with(const std::string& text, const std::string& start) {
  std::istringstream in(text);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(start)) out += line + "\n";
  }
  return out;
}

class Processes : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(TwoAndFour, Processes, ::testing::Values(2, 4));

TEST_P(Processes, AgreeBitForBitOnEveryCollective) {
  WorkerRanks ranks(GetParam(), "collectives");
  EXPECT_THAT(ranks.wait(kStart), Each(0)) << ranks.text(0) << ranks.text(1);
  const std::string bits = lines_with(ranks.text(0), "bits");
  EXPECT_THAT(bits, HasSubstr("1000 BFloat16"));
  for (int r = 1; r < GetParam(); ++r) EXPECT_EQ(lines_with(ranks.text(r), "bits"), bits);
}

TEST_P(Processes, EndWithoutAWordAtDifferentTimes) {
  WorkerRanks ranks(GetParam(), "one_is_late_to_end");
  EXPECT_THAT(ranks.wait(kStart), Each(0)) << ranks.text(0) << ranks.text(1);
  EXPECT_EQ(lines_with(ranks.text(0), "error"), "");
}

// A part has 100 fp32, the whole 400.
TEST(FourProcesses, CountTheBytesTheySend) {
  WorkerRanks ranks(4, "count_bytes");
  EXPECT_THAT(ranks.wait(kStart), Each(0)) << ranks.text(0);
  const std::string same = "sent all_reduce 2400\nsent reduce_scatter 1200\nsent all_gather 1200\n";
  // Root 1 sends to ranks 2 and 3, and rank 3 on to rank 0.
  const std::vector<int> broadcast = {0, 800, 0, 400};
  for (int r = 0; r < 4; ++r) {
    EXPECT_EQ(lines_with(ranks.text(r), "sent"), same + "sent broadcast " +
                                                     std::to_string(broadcast[static_cast<size_t>(r)]) +
                                                     "\nsent bytes 33\nsent barrier 0\n");
  }
}

void expect_all_say(const WorkerRanks& ranks, int count, int except, const std::string& message) {
  for (int r = 0; r < count; ++r) {
    if (r == except) continue;
    EXPECT_THAT(lines_with(ranks.text(r), "error"), HasSubstr(message)) << "rank " << r;
  }
}

TEST_P(Processes, EndWithTheMessageOfTheOneThatThrows) {
  WorkerRanks ranks(GetParam(), "one_throws");
  EXPECT_THAT(ranks.wait(kStart), Each(1));
  EXPECT_EQ(lines_with(ranks.text(1), "error"), "error: runs/a/model.safetensors: no space left on device\n");
  expect_all_say(ranks, GetParam(), 1, "error: rank 1 on host ");
  expect_all_say(ranks, GetParam(), 1,
                 " failed in step 3, checkpoint: runs/a/model.safetensors: no space left on device");
}

TEST_P(Processes, EndWithTheMessageOfTheFirstRankThoughItHoldsTheStore) {
  WorkerRanks ranks(GetParam(), "the_first_throws");
  EXPECT_THAT(ranks.wait(kStart), Each(1));
  expect_all_say(ranks, GetParam(), 0, "error: rank 0 on host ");
  expect_all_say(ranks, GetParam(), 0,
                 " failed in step 3, checkpoint: runs/a/model.safetensors: no space left on device");
}

TEST(TwoProcesses, EndWithTheExitCodeOfTheOneThatFails) {
  WorkerRanks ranks(2, "one_is_configured_wrongly");
  EXPECT_THAT(ranks.wait(kStart), ElementsAre(2, 2));
}

struct Death {
  const char* name;
  const char* scenario;
  int64_t rank;
  int signal;
  const char* phase;
};

void PrintTo(const Death& death, std::ostream* out) { *out << death.name; }

class WhenARankDies : public ::testing::TestWithParam<Death> {};
INSTANTIATE_TEST_SUITE_P(
    Each, WhenARankDies,
    ::testing::Values(Death{"killed in a rollout", "work_alone", 1, SIGKILL, "step 5, rollout"},
                      Death{"killed in a reduction", "meet_again_and_again", 1, SIGKILL, "step 5, update"},
                      Death{"rank 0 killed in a rollout", "work_alone", 0, SIGKILL, "step 5, rollout"},
                      Death{"rank 0 killed in a reduction", "meet_again_and_again", 0, SIGKILL, "step 5, update"},
                      Death{"stopped in a rollout", "work_alone", 1, SIGSTOP, "step 5, rollout"},
                      Death{"stopped in a reduction", "meet_again_and_again", 1, SIGSTOP, "step 5, update"},
                      Death{"rank 0 stopped in a rollout", "work_alone", 0, SIGSTOP, "step 5, rollout"}));

TEST_P(WhenARankDies, TheOthersSoonSayWhichAndEnd) {
  const Death& death = GetParam();
  WorkerRanks ranks(3, death.scenario);
  ranks.wait_for_line("ready");
  ranks.send(death.rank, death.signal);
  const auto codes = ranks.wait(kSoon, death.rank);
  for (int r = 0; r < 3; ++r) {
    if (r == death.rank) continue;
    EXPECT_EQ(codes[static_cast<size_t>(r)], 1) << "rank " << r;
    const std::string said = lines_with(ranks.text(r), "error");
    EXPECT_THAT(said, HasSubstr("error: rank " + std::to_string(death.rank) + " on host "));
    EXPECT_THAT(said,
                HasSubstr(std::string(" stopped answering in ") + death.phase + " (killed, or out of memory?)\n"));
  }
}

TEST_P(Processes, NameTheOneThatDoesNotComeToACollective) {
  WorkerRanks ranks(GetParam(), "one_never_comes", 3);
  EXPECT_THAT(ranks.wait(kStart), Each(1));
  // The first to run out of patience is the one that all report.
  for (int r = 0; r < GetParam(); ++r) {
    const std::string said = lines_with(ranks.text(r), "error");
    EXPECT_THAT(
        said, HasSubstr("all_reduce_sum (collective number 2, in step 2, update) waited 3 s (distributed.timeout_s)"));
    EXPECT_THAT(said, HasSubstr("for rank 1 on host "));
    EXPECT_THAT(said, HasSubstr("(in step 2, reward, 1 collectives done)"));
  }
}

TEST(TwoProcesses, NameTheCollectiveUnderWayThatARankDoesNotComeTo) {
  WorkerRanks ranks(2, "one_never_comes_to_those_under_way", 3);
  EXPECT_THAT(ranks.wait(kStart), Each(1));
  for (int r = 0; r < 2; ++r) {
    const std::string said = lines_with(ranks.text(r), "error");
    EXPECT_THAT(
        said,
        HasSubstr("reduce_scatter_sum (collective number 3, in step 2, update) waited 3 s (distributed.timeout_s)"));
    EXPECT_THAT(said, HasSubstr("for rank 1 on host "));
    EXPECT_THAT(said, HasSubstr("(in step 2, reward, 2 collectives done)"));
  }
}

TEST(WithTorchrunsAgent, RanksMeetInItsStore) {
  auto ranks = WorkerRanks::with_agent(2, "collectives");
  EXPECT_THAT(ranks.wait(kStart), Each(0)) << ranks.text(0) << ranks.text(1);
}

TEST(WithTorchrunsAgent, RanksSayWhichOfThemDied) {
  auto ranks = WorkerRanks::with_agent(2, "work_alone");
  ranks.wait_for_line("ready");
  ranks.send(0, SIGKILL);
  EXPECT_EQ(ranks.wait(kSoon, 0).at(1), 1);
  EXPECT_THAT(lines_with(ranks.text(1), "error: rank 0 on host "), HasSubstr(" stopped answering in step 5, rollout"));
}

TEST(WithTorchrunsAgent, RanksEndWhenItDies) {
  auto ranks = WorkerRanks::with_agent(2, "work_alone");
  ranks.wait_for_line("ready");
  ranks.kill_agent();
  EXPECT_THAT(ranks.wait(kSoon), Each(1));
  EXPECT_THAT(lines_with(ranks.text(0), "error"), HasSubstr("error: the store of torchrun's agent at 127.0.0.1:"));
}

}  // namespace
}  // namespace grpo::dist
