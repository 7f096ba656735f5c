#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reward/grader.h"
#include "reward/line_child.h"

namespace grpo::reward {

/// A grader that is a child process: it reads one request per line and writes one reply per line, in any order. A
/// process that fails is killed, and the next ask() starts another one.
class CommandGrader : public Grader {
 public:
  struct Options {
    std::vector<std::string> command;
    std::string name;  // the term's name, for the log
    double timeout_s;  // longest wait for the next reply
  };
  explicit CommandGrader(Options options) : options_(std::move(options)) {}

  /// Starts the process and waits a moment, in which most wrong commands (a missing script, an unknown module) end.
  void start() override;
  std::string ask(std::span<Call> calls) override;

 private:
  LineChild::Next next_line();
  std::string failure(LineChild::Next::Kind kind, size_t waiting);
  std::string drop(const std::string& why);

  Options options_;
  std::unique_ptr<LineChild> child_;
};

}  // namespace grpo::reward
