#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reward/grader.h"
#include "reward/line_child.h"

namespace grpo::reward {

/// A child process that gets a request a line and gives a reply a line, in any order. One that fails is killed, and
/// another is started at the next call.
class CommandGrader : public Grader {
 public:
  struct Options {
    std::vector<std::string> command;
    std::string name;  // of the term, for the log
    double timeout_s;  // without a reply, while one is waited for
  };
  explicit CommandGrader(Options options) : options_(std::move(options)) {}

  /// Starts the process, and gives it a moment in which most that are wrong (a missing script, an unknown module) end.
  void start() override;
  std::string ask(std::span<Call> calls) override;

 private:
  std::string failure(LineChild::Next::Kind kind, size_t waiting);
  std::string drop(const std::string& why);

  Options options_;
  std::unique_ptr<LineChild> child_;
};

}  // namespace grpo::reward
