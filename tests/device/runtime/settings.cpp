#include "device/runtime/settings.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "device/host_device.h"
#include "device/runtime/streams.h"

namespace grpo::host_device {
namespace {

double number(const char* name, double otherwise) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return otherwise;
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (*end == '\0' && value >= 0) return value;
  std::fprintf(stderr, "host device: %s=%s is not a number\n", name, text);
  std::abort();
}

// Where a GPU is, the program starts again on it.
__attribute__((constructor)) void step_aside() {
  if (std::getenv("LD_PRELOAD") == nullptr || access("/dev/nvidiactl", F_OK) != 0) return;
  unsetenv("LD_PRELOAD");
  std::string line;
  if (FILE* file = std::fopen("/proc/self/cmdline", "r")) {
    for (int c; (c = std::fgetc(file)) != EOF;) line.push_back(static_cast<char>(c));
    std::fclose(file);
  }
  std::vector<char*> arguments;
  for (size_t at = 0; at < line.size(); at += std::char_traits<char>::length(line.data() + at) + 1)
    arguments.push_back(line.data() + at);
  arguments.push_back(nullptr);
  execv("/proc/self/exe", arguments.data());
}

Settings& known() {
  static Settings read = {.seed = static_cast<uint64_t>(number("GRPO_HOST_DEVICE_SEED", 0)),
                          .memory = static_cast<size_t>(number("GRPO_HOST_DEVICE_MEMORY", 80e9)),
                          .devices = static_cast<int>(number("GRPO_HOST_DEVICE_COUNT", 1)),
                          .arithmetic = number("GRPO_HOST_DEVICE_ARITHMETIC", 1) != 0};
  return read;
}

std::atomic<Fault> planted = Fault::kNone;

}  // namespace

const Settings& settings() { return known(); }

// By this name a program can ask whether it runs on the host device (tests/support/on_host_device.h).
extern "C" __attribute__((visibility("default"))) void grpo_host_device() {}

void set_seed(uint64_t seed) {
  finish_all();
  known().seed = seed;
  reseed();
}

void plant(Fault fault) { planted = fault; }
bool waits_in_streams() { return planted != Fault::kNoStreamWaits; }
bool waits_for_events() { return planted != Fault::kNoEventWaits; }

}  // namespace grpo::host_device
