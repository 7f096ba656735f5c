#include "grpo/base/log.h"

#include <spdlog/details/log_msg_buffer.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <utility>
#include <vector>

#include "grpo/base/log_hold.h"
#include "grpo/base/printable.h"

namespace grpo::base {
namespace {

using Write = std::function<void(const std::string& level, const std::string& message)>;

class FunctionSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(Write write) : write_(std::move(write)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const auto level = spdlog::level::to_string_view(message.level);
    write_(std::string(level.data(), level.size()), std::string(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}
  Write write_;
};

// Keeps messages in memory until log_to_file says where they go.
class HoldingSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void hand_over(spdlog::sinks::sink& to) {
    for (const auto& message : messages_) to.log(message);
    messages_.clear();
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override { messages_.emplace_back(message); }
  void flush_() override {}
  std::vector<spdlog::details::log_msg_buffer> messages_;
};

std::shared_ptr<HoldingSink>& held() {
  static std::shared_ptr<HoldingSink> sink;
  return sink;
}

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_color_mt("grpo");
    made->set_pattern("%H:%M:%S %^%l%$ %v");
    return made;
  }();
  return *instance;
}

}  // namespace

void log_info(const std::string& message) { logger().info("{}", printable(message)); }
void log_warning(const std::string& message) { logger().warn("{}", printable(message)); }
void log_error(const std::string& message) { logger().error("{}", printable(message)); }

void hold_log() {
  for (const auto& other : logger().sinks()) other->set_level(spdlog::level::err);
  held() = std::make_shared<HoldingSink>();
  logger().sinks().push_back(held());
}

void log_to_file(const std::filesystem::path& file) {
  auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
  sink->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
  if (held()) {
    held()->hand_over(*sink);
    std::erase(logger().sinks(), spdlog::sink_ptr(std::exchange(held(), nullptr)));
  }
  for (const auto& other : logger().sinks()) other->set_level(spdlog::level::err);
  logger().sinks().push_back(std::move(sink));
  logger().flush_on(spdlog::level::info);
}
void log_through(Write write) {
  static const spdlog::sink_ptr to_stderr = logger().sinks().front();
  logger().sinks().front() = write ? std::make_shared<FunctionSink>(std::move(write)) : to_stderr;
}
void set_quiet(bool quiet) { logger().set_level(quiet ? spdlog::level::warn : spdlog::level::info); }

}  // namespace grpo::base
