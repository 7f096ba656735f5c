// Ranks that are late, gone, or have come for something else.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "device/nccl/processes.h"

namespace grpo::device_nccl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void sleep_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

struct Values {
  std::vector<float> in = std::vector<float>(64, 1.0F), out = std::vector<float>(64);
};

ncclResult_t sum(Rank& rank, Values& values, size_t count = 64, ncclDataType_t type = ncclFloat32) {
  return ncclAllReduce(values.in.data(), values.out.data(), count, type, ncclSum, rank.comm, rank.stream.handle());
}

// What a watchdog does about a collective that does not end.
void abort_what_hangs(Rank& rank, ncclResult_t expected) {
  Rank::need(!rank.stream.idle_within(0.4), "it does not hang");
  Rank::need(rank.error() == expected, "the error is " + std::to_string(rank.error()));
  Rank::need(ncclCommAbort(rank.comm) == ncclSuccess, "abort failed");
  rank.finish();
}

TEST(DeviceNcclFailures, ALateRankIsWaitedForOnTheStreamOnly) {
  expect_success(2, [](Rank& rank) {
    Values values;
    if (rank.rank == 1) sleep_for(2.0);
    Rank::need(sum(rank, values) == ncclSuccess, "it is refused");
    if (rank.rank == 0) Rank::need(!rank.stream.idle_within(0.2), "the call or the stream has not waited");
    rank.finish();
    Rank::need(values.out[63] == 2.0F, "wrong sum");
    Rank::need(rank.error() == ncclSuccess, "an error is left");
  });
}

void expect_hang(const std::function<ncclResult_t(Rank&, Values&)>& of_one, const std::string& words) {
  setenv("GRPO_NCCL_GONE", "hang", 1);  // one looks later than the other leaves
  const Outcome outcome = in_processes(2, [&](Rank& rank) {
    auto* const values = new Values;  // whoever hangs still holds them
    Rank::need((rank.rank == 0 ? sum(rank, *values) : of_one(rank, *values)) == ncclSuccess, "it is refused at once");
    Rank::need(!rank.stream.idle_within(1.0), "it does not hang");
    Rank::need(rank.error() == ncclSuccess, "GPUs would not tell");
    ncclCommAbort(rank.comm);
    rank.finish();
  });
  unsetenv("GRPO_NCCL_GONE");
  EXPECT_THAT(outcome.codes, ElementsAre(0, 0)) << outcome.texts[0] << outcome.texts[1];
  EXPECT_THAT(outcome.texts[0], HasSubstr(words));
}

TEST(DeviceNcclFailures, DifferentSizesHangAndAreNamed) {
  expect_hang([](Rank& rank, Values& values) { return sum(rank, values, 32); },
              "rank 0 called all_reduce of 64 float32, operator 0, root 0, rank 1 all_reduce of 32 float32");
}

TEST(DeviceNcclFailures, DifferentTypesHangAndAreNamed) {
  expect_hang([](Rank& rank, Values& values) { return sum(rank, values, 64, ncclInt32); }, "all_reduce of 64 int32");
}

TEST(DeviceNcclFailures, DifferentCollectivesHangAndAreNamed) {
  expect_hang(
      [](Rank& rank, Values& values) {
        return ncclBroadcast(values.in.data(), values.out.data(), 64, ncclFloat32, 0, rank.comm, rank.stream.handle());
      },
      "broadcast of 64 float32");
}

TEST(DeviceNcclFailures, AMessageOfAnotherSizeHangsAndIsNamed) {
  const Outcome outcome = in_processes(2, [](Rank& rank) {
    auto* const values = new Values;
    if (rank.rank == 0) ncclSend(values->in.data(), 64, ncclFloat32, 1, rank.comm, rank.stream.handle());
    if (rank.rank == 1) ncclRecv(values->out.data(), 32, ncclFloat32, 0, rank.comm, rank.stream.handle());
    Rank::need(!rank.stream.idle_within(1.0), "it does not hang");
    ncclCommAbort(rank.comm);
    rank.finish();
  });
  EXPECT_THAT(outcome.codes, ElementsAre(0, 0)) << outcome.texts[0] << outcome.texts[1];
  EXPECT_THAT(outcome.texts[1], HasSubstr("rank 1 called receive of 32 float32"));
}

TEST(DeviceNcclFailures, ASendWithoutAReceiveHangs) {
  expect_success(2, [](Rank& rank) {
    auto* const values = new Values;
    if (rank.rank == 0) {
      ncclSend(values->in.data(), 64, ncclFloat32, 1, rank.comm, rank.stream.handle());
      abort_what_hangs(rank, ncclSuccess);
    } else {
      sleep_for(2.5);
    }
  });
}

TEST(DeviceNcclFailures, ARankThatDiesIsAnErrorToItsPeersWhichHangUntilTheyAbort) {
  const Outcome outcome = in_processes(3, [](Rank& rank) {
    auto* const values = new Values;
    sum(rank, *values);
    rank.finish();
    if (rank.rank == 1) kill(getpid(), SIGKILL);
    sum(rank, *values);
    rank.wait_for_error(ncclRemoteError);
    Rank::need(sum(rank, *values) == ncclRemoteError, "a broken communicator takes calls");
    abort_what_hangs(rank, ncclRemoteError);
  });
  EXPECT_THAT(outcome.codes, ElementsAre(0, 128 + SIGKILL, 0)) << outcome.texts[0] << outcome.texts[2];
  // Who aborts first is gone too.
  EXPECT_THAT(outcome.texts[0] + outcome.texts[2], HasSubstr("rank 1 is gone, on which waited all_reduce"));
}

TEST(DeviceNcclFailures, ARankThatDiesIsNotNoticedWhereGpusAreConnectedDirectly) {
  setenv("GRPO_NCCL_GONE", "hang", 1);
  const Outcome outcome = in_processes(2, [](Rank& rank) {
    auto* const values = new Values;
    if (rank.rank == 1) kill(getpid(), SIGKILL);
    sum(rank, *values);
    abort_what_hangs(rank, ncclSuccess);
  });
  unsetenv("GRPO_NCCL_GONE");
  EXPECT_THAT(outcome.codes, ElementsAre(0, 128 + SIGKILL)) << outcome.texts[0];
}

TEST(DeviceNcclFailures, ARankThatAbortsIsGoneToTheOthersWhateverItsStreamStillHolds) {
  expect_success(2, [](Rank& rank) {
    auto* const values = new Values;
    if (rank.rank == 0) {
      sum(rank, *values);
      rank.wait_for_error(ncclRemoteError, 3.0);
      abort_what_hangs(rank, ncclRemoteError);
    } else {
      rank.stream.add([] { sleep_for(60); });
      sum(rank, *values);
      ncclCommAbort(rank.comm);
      sleep_for(5.0);
    }
  });
}

TEST(DeviceNcclFailures, WhatWasQueuedBehindAnAbortedCollectiveEndsToo) {
  expect_success(2, [](Rank& rank) {
    auto* const values = new Values;
    if (rank.rank == 1) return sleep_for(2.5);
    for (int i = 0; i < 5; ++i) sum(rank, *values);
    abort_what_hangs(rank, ncclSuccess);
  });
}

TEST(DeviceNcclFailures, WorkOnASecondStreamWaitsForTheFirst) {
  expect_success(2, [](Rank& rank) {
    StreamThread other;
    Values first, second;
    second.in.assign(64, 2.0F);
    // Rank 0's first stream is busy, its second one is not; rank 1 has one stream.
    rank.stream.add([&] { sleep_for(rank.rank == 0 ? 0.3 : 0.0); });
    sum(rank, first);
    const auto stream = rank.rank == 0 ? other.handle() : rank.stream.handle();
    ncclAllReduce(second.in.data(), second.out.data(), 64, ncclFloat32, ncclSum, rank.comm, stream);
    rank.finish();
    Rank::need(other.idle_within(60), "the second stream does not end");
    Rank::need(first.out[0] == 2.0F && second.out[0] == 4.0F, "the collectives were mixed up");
  });
}

TEST(DeviceNcclFailures, ACapturedCollectiveRunsAtEachReplay) {
  expect_success(2, [](Rank& rank) {
    Values values;
    rank.stream.begin_capture();
    sum(rank, values);
    const auto replay = rank.stream.end_capture();
    Rank::need(rank.stream.idle_within(0) && values.out[0] == 0.0F, "it ran while it was captured");
    for (const float value : {1.0F, 3.0F}) {
      rank.stream.add([&values, value] { values.in.assign(64, value); });
      replay();
      rank.finish();
      Rank::need(values.out[5] == 2 * value, "a wrong sum at a replay");
    }
  });
}

TEST(DeviceNcclFailures, ARankThatNeverJoinsIsWaitedForWithinTheBound) {
  setenv("GRPO_NCCL_WAIT_S", "1", 1);
  const Outcome outcome = in_processes(
      2,
      [](Rank& rank) {
        if (rank.rank == 1) return;
        Rank::need(ncclCommInitRank(&rank.comm, rank.size, rank.id, rank.rank) == ncclSystemError,
                   "it has joined alone");
      },
      /*joined=*/false);
  unsetenv("GRPO_NCCL_WAIT_S");
  EXPECT_THAT(outcome.codes, ElementsAre(0, 0)) << outcome.texts[0];
}

TEST(DeviceNcclFailures, ACommunicatorThatDoesNotBlockIsInProgressUntilAllHaveJoined) {
  expect_success(
      2,
      [](Rank& rank) {
        ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
        config.blocking = 0;
        if (rank.rank == 1) sleep_for(0.4);
        Rank::need(ncclCommInitRankConfig(&rank.comm, rank.size, rank.id, rank.rank, &config) == ncclInProgress,
                   "it blocks");
        Values values;
        if (rank.rank == 0)
          Rank::need(rank.error() == ncclInProgress && sum(rank, values) == ncclInvalidUsage, "it is ready alone");
        rank.wait_for_error(ncclSuccess);
        Rank::need(sum(rank, values) == ncclSuccess, "it is not ready");
        rank.finish();
        Rank::need(values.out[0] == 2.0F, "wrong sum");
      },
      /*joined=*/false);
}

TEST(DeviceNcclFailures, JoiningCanBeAborted) {
  expect_success(
      2,
      [](Rank& rank) {
        if (rank.rank == 1) return;
        ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
        config.blocking = 0;
        ncclCommInitRankConfig(&rank.comm, rank.size, rank.id, rank.rank, &config);
        Rank::need(ncclCommAbort(rank.comm) == ncclSuccess, "abort failed");
      },
      /*joined=*/false);
}

TEST(DeviceNcclFailures, WrongArgumentsAreRefusedAtOnce) {
  expect_success(2, [](Rank& rank) {
    Values v;
    const auto stream = rank.stream.handle();
    Rank::need(ncclAllReduce(nullptr, v.out.data(), 64, ncclFloat32, ncclSum, rank.comm, stream) == ncclInvalidArgument,
               "no buffer");
    Rank::need(ncclBroadcast(v.in.data(), v.out.data(), 64, ncclFloat32, 2, rank.comm, stream) == ncclInvalidArgument,
               "no such root");
    Rank::need(ncclSend(v.in.data(), 64, ncclFloat32, -1, rank.comm, stream) == ncclInvalidArgument, "no such peer");
    Rank::need(
        ncclAllReduce(v.in.data(), v.out.data(), 64, ncclNumTypes, ncclSum, rank.comm, stream) == ncclInvalidArgument,
        "no such type");
    Rank::need(ncclAllReduce(v.in.data(), v.out.data(), 64, ncclFloat32, static_cast<ncclRedOp_t>(9), rank.comm,
                             stream) == ncclInvalidArgument,
               "no such operator");
    Rank::need(
        ncclAllReduce(v.in.data(), v.out.data(), 64, ncclFloat32, ncclSum, nullptr, stream) == ncclInvalidArgument,
        "no communicator");
    Rank::need(ncclGroupEnd() == ncclInvalidUsage, "no group");
    ncclConfig_t config = {};
    ncclComm_t comm = nullptr;
    Rank::need(ncclCommInitRankConfig(&comm, 2, rank.id, rank.rank, &config) == ncclInvalidArgument,
               "a configuration that was not initialised");
    Rank::need(sum(rank, v) == ncclSuccess, "refused calls have left something");
    rank.finish();
    Rank::need(v.out[0] == 2.0F, "wrong sum");
  });
}

TEST(DeviceNcclFailures, ARankThatIsThereTwiceIsRefused) {
  setenv("GRPO_NCCL_WAIT_S", "3", 1);  // rank 2 never comes
  const Outcome outcome = in_processes(
      3,
      [](Rank& rank) {
        const int claimed = rank.rank == 2 ? 1 : rank.rank;
        if (rank.rank == 2) sleep_for(0.3);
        const ncclResult_t result = ncclCommInitRank(&rank.comm, 3, rank.id, claimed);
        Rank::need(result == ncclSuccess, ncclGetLastError(nullptr));
      },
      /*joined=*/false);
  unsetenv("GRPO_NCCL_WAIT_S");
  EXPECT_EQ(outcome.codes[2], 1);
  EXPECT_THAT(outcome.texts[2], HasSubstr("rank 1 is there twice"));
}

TEST(DeviceNcclFailures, ACliqueLeavesNoNameInTheSystem) {
  expect_success(2, [](Rank& rank) {
    Values values;
    sum(rank, values);
    rank.finish();
    Rank::need(!std::filesystem::exists("/dev/shm/" + std::string(static_cast<const char*>(rank.id.internal))),
               "the shared memory has a name");
    Rank::need(ncclCommFinalize(rank.comm) == ncclSuccess && ncclCommDestroy(rank.comm) == ncclSuccess,
               "the end failed");
  });
}

TEST(DeviceNcclFailures, OneProcessCanBeAllRanks) {
  std::vector<ncclComm_t> comms(2);
  ASSERT_EQ(ncclCommInitAll(comms.data(), 2, nullptr), ncclSuccess);
  StreamThread streams[2];
  Values values[2];
  ncclGroupStart();
  for (int rank = 0; rank < 2; ++rank)
    ncclAllReduce(values[rank].in.data(), values[rank].out.data(), 64, ncclFloat32, ncclSum,
                  comms[static_cast<size_t>(rank)], streams[rank].handle());
  ncclGroupEnd();
  for (int rank = 0; rank < 2; ++rank) {
    EXPECT_TRUE(streams[rank].idle_within(30));
    EXPECT_EQ(values[rank].out[7], 2.0F);
    EXPECT_EQ(ncclCommDestroy(comms[static_cast<size_t>(rank)]), ncclSuccess);
  }
}

TEST(DeviceNcclFailures, WhoHasNotJoinedYetIsNotGone) {
  ncclUniqueId id;
  ncclGetUniqueId(&id);
  ncclComm_t comms[2];
  StreamThread streams[2];
  Values values[2];
  for (int rank = 0; rank < 2; ++rank) {
    ncclGroupStart();  // in a group nobody waits for the others
    ASSERT_EQ(ncclCommInitRank(&comms[rank], 2, id, rank), ncclSuccess);
    ncclGroupEnd();
    ncclAllReduce(values[rank].in.data(), values[rank].out.data(), 64, ncclFloat32, ncclSum, comms[rank],
                  streams[rank].handle());
    sleep_for(0.2);
  }
  EXPECT_TRUE(streams[0].idle_within(30) && streams[1].idle_within(30));
  for (int rank = 0; rank < 2; ++rank) {
    ncclResult_t error = ncclInternalError;
    ncclCommGetAsyncError(comms[rank], &error);
    EXPECT_EQ(error, ncclSuccess);
    EXPECT_EQ(values[rank].out[0], 2.0F);
    EXPECT_EQ(ncclCommDestroy(comms[rank]), ncclSuccess);
  }
}

}  // namespace
}  // namespace grpo::device_nccl
