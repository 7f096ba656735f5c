#include "dist/work_minder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>

namespace grpo::dist {
namespace {

using namespace std::chrono_literals;

// A collective that is done, or has failed, when the test says so.
class FakeWork : public c10d::Work {
 public:
  bool isCompleted() override { return done; }
  std::exception_ptr exception() const override { return error; }
  std::atomic<bool> done = false;
  std::exception_ptr error;
};

Started started(int64_t number) {
  return {.name = "all_reduce_sum", .number = number, .began = std::chrono::steady_clock::now()};
}

void mind(WorkMinder& minder, int64_t number, const c10::intrusive_ptr<FakeWork>& work) {
  minder.mind(started(number));
  minder.started_as(work);
}

struct Report {
  int64_t number;
  std::string what;
};

TEST(WorkMinder, NamesTheFirstThatIsNotDoneInTime) {
  std::promise<Report> report;
  WorkMinder minder(300ms, [&](const Started& late, const std::string& what) {
    report.set_value({late.number, what});
  });
  const auto done = c10::make_intrusive<FakeWork>(), late = c10::make_intrusive<FakeWork>(),
             behind = c10::make_intrusive<FakeWork>();
  mind(minder, 1, done);
  mind(minder, 2, late);
  mind(minder, 3, behind);
  done->done = true;
  auto found = report.get_future();
  ASSERT_EQ(found.wait_for(30s), std::future_status::ready);
  const Report told = found.get();
  EXPECT_EQ(told.number, 2);
  EXPECT_EQ(told.what, "");
}

// In the first collective of a group NCCL connects the ranks and waits for all of them, before there is any work.
TEST(WorkMinder, NamesTheOneWhoseStartDoesNotReturn) {
  std::promise<Report> report;
  WorkMinder minder(300ms, [&](const Started& late, const std::string& what) {
    report.set_value({late.number, what});
  });
  minder.mind(started(1));
  auto found = report.get_future();
  ASSERT_EQ(found.wait_for(30s), std::future_status::ready);
  EXPECT_EQ(found.get().number, 1);
}

TEST(WorkMinder, TellsWhatFailed) {
  std::promise<Report> report;
  WorkMinder minder(60s, [&](const Started& late, const std::string& what) { report.set_value({late.number, what}); });
  const auto failed = c10::make_intrusive<FakeWork>();
  failed->error = std::make_exception_ptr(std::runtime_error("NCCL error: remote process exited\nstack"));
  failed->done = true;
  mind(minder, 7, failed);
  auto found = report.get_future();
  ASSERT_EQ(found.wait_for(30s), std::future_status::ready);
  EXPECT_EQ(found.get().what, "NCCL error: remote process exited");
}

TEST(WorkMinder, IsSilentWhenAllEnd) {
  std::atomic<int> calls = 0;
  {
    WorkMinder minder(200ms, [&](const Started&, const std::string&) { ++calls; });
    for (int64_t i = 0; i < 100; ++i) {
      const auto work = c10::make_intrusive<FakeWork>();
      work->done = true;
      mind(minder, i, work);
      minder.mind(started(i));
      minder.forget();
    }
    std::this_thread::sleep_for(500ms);
  }
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace grpo::dist
