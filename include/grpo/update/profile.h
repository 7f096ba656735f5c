#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

#include <filesystem>

namespace grpo::update {

/// Gives a name to all work of its lifetime, in the trace of a StepProfile and as an NVTX range for NVIDIA's tools.
class TraceRange {
 public:
  explicit TraceRange(const char* name);
  ~TraceRange();
  TraceRange(const TraceRange&) = delete;
  TraceRange& operator=(const TraceRange&) = delete;

 private:
  at::RecordFunction record_;
};

/// Records the operators, device kernels and trace ranges of all threads from its construction on.
class StepProfile {
 public:
  explicit StepProfile(at::Device device);
  ~StepProfile();
  StepProfile(const StepProfile&) = delete;
  StepProfile& operator=(const StepProfile&) = delete;

  /// Ends the recording and writes it in Chrome's trace format, which chrome://tracing and Perfetto open.
  void write(const std::filesystem::path& file);

 private:
  bool running_ = true;
};

}  // namespace grpo::update
