#include "grpo/base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

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


spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_color_mt("grpo");
    made->set_pattern("%H:%M:%S %^%l%$ %v");
    return made;
  }();
  return *instance;
}

}  // namespace

void log_info(const std::string& message) { logger().info("{}", message); }
void log_warning(const std::string& message) { logger().warn("{}", message); }
void log_error(const std::string& message) { logger().error("{}", message); }
void log_to_file(const std::filesystem::path& file) {
  auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
  sink->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
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
