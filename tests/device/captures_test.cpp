// Graphs: what is recorded runs at each replay, and what CUDA forbids meanwhile is an error that names the call.
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include "device/device_fixture.h"

namespace grpo::host_device {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class Captures : public HostDevice {
 protected:
  // Records `work` on a stream of its own; false when the recording failed.
  template <typename Work>
  bool record(at::cuda::CUDAGraph& graph, const Work& work) {
    const c10::cuda::CUDAStreamGuard guard(stream_);
    stream_.synchronize();
    graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    bool recorded = true;
    const auto attempt = [&](const auto& step) {
      try {
        step();
      } catch (const std::exception&) {
        recorded = false;
      }
    };
    attempt(work);
    attempt([&] { graph.capture_end(); });
    return recorded;
  }

  template <typename Work>
  std::vector<std::string> errors_of(const Work& work) {
    at::cuda::CUDAGraph graph;
    EXPECT_FALSE(record(graph, work));
    return take_errors();
  }

  const c10::cuda::CUDAStream stream_ = c10::cuda::getStreamFromPool();
};

TEST_F(Captures, RunAtEachReplayAndNotBefore) {
  for (uint64_t seed = 0; seed <= kSeeds; ++seed) {
    set_seed(seed);
    auto x = at::ones({3}, device());
    c10::cuda::device_synchronize();
    at::Tensor doubled;
    at::cuda::CUDAGraph graph;
    ASSERT_TRUE(record(graph, [&] {
      x.add_(1.0);
      doubled = x * 2.0;
    }));
    EXPECT_EQ(value(x.sum()), 3.0);
    for (const double expected : {12.0, 18.0}) {
      const c10::cuda::CUDAStreamGuard guard(stream_);
      graph.replay();
      EXPECT_EQ(value(doubled.sum()), expected) << "seed " << seed;
    }
  }
}

// What nobody holds after the recording is overwritten when the replay has used it.
TEST_F(Captures, OverwriteTheirTemporaries) {
  auto x = at::ones({3}, device());
  c10::cuda::device_synchronize();
  const float* temporary = nullptr;
  at::Tensor result;
  at::cuda::CUDAGraph graph;
  ASSERT_TRUE(record(graph, [&] {
    const auto between = x + 1.0;
    temporary = static_cast<const float*>(between.data_ptr());
    result = between * 2.0;
  }));
  const c10::cuda::CUDAStreamGuard guard(stream_);
  graph.replay();
  EXPECT_EQ(value(result.sum()), 12.0);
  EXPECT_TRUE(std::isnan(*temporary));
}

// Adds `before` to x, copies it on another stream, and adds `after`; whether the other stream's copy waits for what is
// before it.
class Branches : public Captures {
 protected:
  struct Copied {
    double found;
    double left;
  };
  Copied replayed(bool wait) {
    auto x = at::zeros({1}, device()), copied = at::zeros({1}, device());
    c10::cuda::device_synchronize();
    at::cuda::CUDAGraph graph;
    const auto work = [&] {
      at::cuda::CUDAEvent started, ready, done;
      started.record(stream_);
      started.block(other_);
      for (int i = 0; i < 20; ++i) x.add_(1.0);
      ready.record(stream_);
      {
        const c10::cuda::CUDAStreamGuard guard(other_);
        if (wait) ready.block(other_);
        copied.copy_(x);
        done.record(other_);
      }
      done.block(stream_);
      x.add_(1.0);
    };
    EXPECT_TRUE(record(graph, work));
    const c10::cuda::CUDAStreamGuard guard(stream_);
    for (int i = 0; i < 3; ++i) graph.replay();
    return {value(copied.sum()), value(x.sum())};
  }

  const c10::cuda::CUDAStream other_ = c10::cuda::getStreamFromPool();
};

TEST_F(Branches, KeepTheOrderThatTheirEventsDemand) {
  for (uint64_t seed = 0; seed <= kSeeds; ++seed) {
    set_seed(seed);
    const auto [found, left] = replayed(/*wait=*/true);
    EXPECT_EQ(found, 62.0) << "seed " << seed;
    EXPECT_EQ(left, 63.0) << "seed " << seed;
  }
}

TEST_F(Branches, ShowAMissingWaitAsAWrongNumber) {
  uint64_t wrong = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    set_seed(seed);
    wrong += replayed(/*wait=*/false).found != 62.0;
  }
  EXPECT_GE(wrong, kSeeds / 2);
}

TEST_F(Branches, MustComeBackToTheFirst) {
  auto x = at::ones({3}, device());
  c10::cuda::device_synchronize();
  EXPECT_THAT(errors_of([&] {
                at::cuda::CUDAEvent started;
                started.record(stream_);
                started.block(other_);
                const c10::cuda::CUDAStreamGuard guard(other_);
                x.add_(1.0);
              }),
              Contains(HasSubstr("does not wait for all work of another one")));
}

TEST_F(Captures, RefuseToWait) {
  const auto x = at::ones({3}, device());
  EXPECT_THAT(errors_of([&] { x.sum().item<float>(); }), Contains(HasSubstr("cudaStreamSynchronize")));
  EXPECT_THAT(errors_of([&] { c10::cuda::device_synchronize(); }), Contains(HasSubstr("cudaDeviceSynchronize")));
  EXPECT_THAT(errors_of([&] { at::nonzero(x); }), Contains(HasSubstr("aten::nonzero")));
}

TEST_F(Captures, RefusePageableCopies) {
  auto x = at::ones({3}, device());
  const auto pageable = at::ones({3});
  const auto copy = [&](const at::Tensor& to, const at::Tensor& from) {
    return errors_of(
        [&] { cudaMemcpyAsync(to.data_ptr(), from.data_ptr(), x.nbytes(), cudaMemcpyDefault, stream_.stream()); });
  };
  EXPECT_THAT(copy(x, pageable), Contains(HasSubstr("from pageable memory while the stream is recorded")));
  EXPECT_THAT(copy(pageable, x), Contains(HasSubstr("to pageable memory while the stream is recorded")));
}

TEST_F(Captures, RefuseMemoryFromOutsideTheirPool) {
  EXPECT_THAT(errors_of([&] {
                void* memory = nullptr;
                cudaMalloc(&memory, 1024);
              }),
              Contains(HasSubstr("cudaMalloc while this thread records")));
}

TEST_F(Captures, RefuseTheDefaultStream) {
  auto x = at::ones({3}, device());
  EXPECT_THAT(errors_of([&] {
                const c10::cuda::CUDAStreamGuard other(c10::cuda::getDefaultCUDAStream());
                x.add_(1.0);
              }),
              Contains(HasSubstr("the default stream")));
}

TEST_F(Captures, AreNotReplayedWhenTheirMemoryIsGone) {
  auto workspace = at::ones({3000}, device());
  auto x = at::ones({3000}, device());
  c10::cuda::device_synchronize();
  at::cuda::CUDAGraph graph;
  ASSERT_TRUE(record(graph, [&] { x.add_(workspace); }));
  const c10::cuda::CUDAStreamGuard guard(stream_);
  graph.replay();
  workspace.reset();
  EXPECT_ANY_THROW(graph.replay());
  EXPECT_THAT(take_errors(), Contains(HasSubstr("uses memory that was freed")));
  const c10::cuda::CUDAStreamGuard main(c10::cuda::getDefaultCUDAStream());
  workspace = at::ones({2000}, device());  // the same place again
  EXPECT_ANY_THROW(graph.replay());
  EXPECT_THAT(take_errors(), Contains(HasSubstr("now belongs to something else")));
}

TEST(Refusal, NamesWhatALaunchHasTooMuchOf) {
  EXPECT_EQ(refusal({1, 1, 1}, {1024, 1, 1}, 0, 49152), "");
  EXPECT_THAT(refusal({1, 65536, 1}, {32, 1, 1}, 0, 49152), HasSubstr("a grid of 1,65536,1"));
  EXPECT_THAT(refusal({1, 1, 65536}, {32, 1, 1}, 0, 49152), HasSubstr("a grid of 1,1,65536"));
  EXPECT_THAT(refusal({1, 1, 1}, {1025, 1, 1}, 0, 49152), HasSubstr("a block of 1025,1,1"));
  EXPECT_THAT(refusal({0, 1, 1}, {32, 1, 1}, 0, 49152), HasSubstr("an empty grid"));
  EXPECT_THAT(refusal({1, 1, 1}, {32, 1, 1}, 49153, 49152), HasSubstr("49153 bytes of shared memory"));
}

}  // namespace
}  // namespace grpo::host_device
