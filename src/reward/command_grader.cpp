#include "reward/command_grader.h"

#include <algorithm>

#include "grpo/base/error.h"
#include "reward/grader_protocol.h"

namespace grpo::reward {
namespace {

constexpr double kFirstSeconds = 0.3;
constexpr double kLookEvery_s = 0.1;  // whether the answers are still wanted
constexpr double kLastLook_s = 0.01;

LineChild::Clock::time_point after(double seconds) {
  constexpr double kLongest = 1e8;  // three years; a longer time would overflow the clock's ticks
  return LineChild::Clock::now() + std::chrono::duration_cast<LineChild::Clock::duration>(
                                       std::chrono::duration<double>(std::min(seconds, kLongest)));
}

}  // namespace

void CommandGrader::start() {
  child_ = std::make_unique<LineChild>(options_.command, options_.name);
  if (child_->ends_within(kFirstSeconds)) throw base::Error(drop("the program " + child_->kill() + " at once"));
}

std::string CommandGrader::ask(std::span<Call> calls) {
  try {
    if (!child_) child_ = std::make_unique<LineChild>(options_.command, options_.name);
  } catch (const base::Error& error) {
    return error.what();
  }
  WaitingCalls waiting(calls);
  for (const Call& call : calls) {
    if (!call.reply) child_->send(call.request + "\n");
  }
  while (!waiting.empty()) {
    const auto next = next_line();
    if (next.kind != LineChild::Next::Kind::kLine) return failure(next.kind, waiting.size());
    if (const auto wrong = waiting.take_text(next.line); !wrong.empty()) return drop(wrong);
  }
  return "";
}

LineChild::Next CommandGrader::next_line() {
  const auto deadline = after(options_.timeout_s);
  while (true) {
    const auto look = after(kLookEvery_s);
    const bool last = look >= deadline;
    // However late this thread runs, a reply that has come by the deadline is still read.
    auto next = child_->next_line(last ? std::max(deadline, after(kLastLook_s)) : look);
    if (next.kind != LineChild::Next::Kind::kTimeout || last || cancelled()) return next;
  }
}

std::string CommandGrader::failure(LineChild::Next::Kind kind, size_t waiting) {
  if (kind == LineChild::Next::Kind::kTooLong) return drop("it wrote a line of more than 1 MiB");
  if (kind == LineChild::Next::Kind::kTimeout)
    return drop(base::concat("no answer within ", options_.timeout_s, " s (timeout_s), and ", waiting, " were due"));
  const std::string how = child_->kill();
  return drop(how == "still ran" ? "it closed its stdout" : "the program " + how);
}

std::string CommandGrader::drop(const std::string& why) {
  child_->kill();
  std::string all = why + child_->last_stderr_lines();
  child_.reset();
  return all;
}

}  // namespace grpo::reward
