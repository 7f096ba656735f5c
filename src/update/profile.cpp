#include "grpo/update/profile.h"

#include <torch/csrc/autograd/profiler_kineto.h>

#include <set>

#include "grpo/kernels/cuda.h"

namespace grpo::update {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;
using torch::profiler::impl::ProfilerConfig;
using torch::profiler::impl::ProfilerState;

TraceRange::TraceRange(const char* name) : record_(at::RecordScope::USER_SCOPE) {
  if (record_.isActive()) record_.before(name);
  kernels::push_range(name);
}

TraceRange::~TraceRange() { kernels::pop_range(); }

StepProfile::StepProfile(at::Device device) {
  const ProfilerConfig config(ProfilerState::KINETO);
  std::set<ActivityType> activities = {ActivityType::CPU};
  if (device.is_cuda()) activities.insert(ActivityType::CUDA);
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(
      config, activities, {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION, at::RecordScope::USER_SCOPE});
}

StepProfile::~StepProfile() {
  if (running_) profiler::disableProfiler();
}

void StepProfile::write(const std::filesystem::path& file) {
  running_ = false;
  const auto result = profiler::disableProfiler();
  std::filesystem::create_directories(file.parent_path());
  result->save(file.string());
}

}  // namespace grpo::update
