#include "device/runtime/report.h"

#include <cstdio>
#include <cstdlib>

namespace grpo::host_device {
namespace {

constexpr double kGrowth = 1.001;

void write(const char* path, const MemoryCounts& counts) {
  FILE* const file = std::fopen(path, "w");
  if (file == nullptr) return std::perror(path);
  std::fprintf(file, "{\"most_device_bytes\": %lld, \"most_handed_out\": %lld}\n",
               static_cast<long long>(counts.most_bytes), static_cast<long long>(counts.most_handed_out));
  std::fclose(file);
}

}  // namespace

void report(const MemoryCounts& counts) {
  static const char* const path = std::getenv("GRPO_HOST_DEVICE_REPORT");
  if (path == nullptr || *path == '\0') return;
  static double bytes = 0.0, handed_out = 0.0;
  const auto now = static_cast<double>(counts.most_bytes), out = static_cast<double>(counts.most_handed_out);
  if (now <= kGrowth * bytes && out <= kGrowth * handed_out) return;
  bytes = now;
  handed_out = out;
  write(path, counts);
}

}  // namespace grpo::host_device
