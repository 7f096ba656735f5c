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

Fault fault_of_environment() {
  const char* text = std::getenv("GRPO_HOST_DEVICE_FAULT");
  if (text == nullptr || *text == '\0') return Fault::kNone;
  if (std::string(text) == "stream_waits") return Fault::kNoStreamWaits;
  std::fprintf(stderr, "host device: GRPO_HOST_DEVICE_FAULT=%s is not known\n", text);
  std::abort();
}

struct Planted {
  std::atomic<Fault> fault = fault_of_environment();
  std::atomic<bool> at_each = true;
  std::atomic<int64_t> calls_before = 0;  // until the one where it happens

  bool happens(Fault which) { return fault == which && (at_each || calls_before-- == 0); }
};

Planted& planted() {
  static Planted known;
  return known;
}

}  // namespace

const Settings& settings() { return known(); }

// By this name a program can ask whether it runs on the host device (tests/support/on_host_device.h).
extern "C" __attribute__((visibility("default"))) void grpo_host_device() {}

void set_seed(uint64_t seed) {
  finish_all();
  known().seed = seed;
  reseed();
}

void plant(Fault fault, std::optional<int64_t> only) {
  planted().fault = Fault::kNone;
  planted().at_each = !only.has_value();
  planted().calls_before = only.value_or(0);
  planted().fault = fault;
}
bool waits_in_streams() { return !planted().happens(Fault::kNoStreamWaits); }
bool waits_for_events() { return !planted().happens(Fault::kNoEventWaits); }

}  // namespace grpo::host_device
