// Rewards of a server, with http_server.py, which does what the first completion says.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "grpo/base/error.h"
#include "grpo/reward/reward.h"
#include "reward/score_texts.h"
#include "support/golden.h"
#include "support/message_of.h"
#include "support/paths.h"

namespace grpo::reward {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// A port at which nobody listens: the kernel gave it away a moment ago.
int free_port() {
  const int handle = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(handle, reinterpret_cast<sockaddr*>(&address), size), 0);
  ::getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(handle);
  return ntohs(address.sin_port);
}

class Http : public ::testing::Test {
 protected:
  ~Http() override { stop(); }

  void start(double wait_s = 0.0) {
    const std::string script = (testing::source_dir() / "tests/reward/http_server.py").string();
    const std::string port = std::to_string(port_), file = (folder_ / "port").string(), wait = std::to_string(wait_s);
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::execlp("python3", "python3", script.c_str(), port.c_str(), file.c_str(), wait.c_str(), nullptr);
    ::_exit(127);
  }
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  RewardTerm term() const {
    RewardTerm term{.type = TermType::kHttp, .name = "server", .weight = 1.0, .pattern = ""};
    term.url = "http://127.0.0.1:" + std::to_string(port_) + "/grade";
    term.timeout_s = 20.0;
    term.retries = 0;
    return term;
  }
  std::string start_error(const RewardTerm& term) const {
    return testing::message_of<base::ConfigError>([&] { make_reward({.terms = {term}}); });
  }

  testing::TempDir dir_;
  const fs::path folder_ = dir_.path();
  int port_ = free_port();
  pid_t pid_ = 0;
};

TEST_F(Http, AnswersInAnyOrderAreTheRewards) {
  start();
  const auto reward = make_reward({.terms = {term()}});
  const auto scores = score_texts(*reward, {"0.25", "-3"});
  EXPECT_EQ(scores[0].reward, 0.25);
  EXPECT_EQ(scores[1].reward, -3.0);
  EXPECT_THAT(scores[1].metrics, ::testing::ElementsAre(::testing::Pair("server/sample", 1.0)));
}

TEST_F(Http, ALargeRequestIsSentWithoutAskingFirst) {
  start();
  const auto reward = make_reward({.terms = {term()}});
  EXPECT_EQ(score_texts(*reward, {"1" + std::string(2 << 20, ' ')})[0].reward, 1.0);
}

TEST_F(Http, TheConnectionIsKept) {
  start();
  const auto reward = make_reward({.terms = {term()}});
  const double first = score_texts(*reward, {"connections"})[0].reward;
  EXPECT_EQ(score_texts(*reward, {"connections"})[0].reward, first);
}

TEST_F(Http, AServerThatIsDownAtTheStartIsNamed) {
  auto hasty = term();
  hasty.timeout_s = 0.5;
  EXPECT_THAT(start_error(hasty),
              MatchesRegex("reward.terms: server: http://127.0.0.1:[0-9]+/grade: .*onnect.*; waited "
                           "0.5 s .timeout_s. for it"));
  hasty.url = "gopher://127.0.0.1/";
  hasty.timeout_s = 600.0;  // nothing to wait for
  EXPECT_THAT(start_error(hasty), HasSubstr("rotocol"));
}

TEST_F(Http, AServerThatComesUpInTimeIsWaitedFor) {
  start(0.7);
  EXPECT_EQ(score_texts(*make_reward({.terms = {term()}}), {"2"})[0].reward, 2.0);
}

TEST_F(Http, WhatAServerDoesWrongIsNamed) {
  start();
  auto lenient = term();
  lenient.on_failure = OnFailure::kLeaveOut;
  const auto reward = make_reward({.terms = {lenient}});
  const auto failure = [&](const std::string& word) { return score_texts(*reward, {word})[0].failure; };
  EXPECT_THAT(failure("error"), HasSubstr("/grade: it answered with status 500: \"out of memory\" (asked 1 time)"));
  EXPECT_THAT(failure("garbage"), HasSubstr("it answered \"<html>\", which is no JSON"));
  EXPECT_THAT(failure("object"), HasSubstr("it answered \"{}\", expected an array"));
  EXPECT_THAT(failure("short"), HasSubstr("its array lacks the answers about 1 completions"));
  EXPECT_THAT(failure("flood"), HasSubstr("it answered with more than 1088 KiB"));
}

TEST_F(Http, AServerThatHangsIsNamed) {
  start();
  score_texts(*make_reward({.terms = {term()}}), {"1"});  // it is up now
  auto hasty = term();
  hasty.timeout_s = 1.0;
  const auto reward = make_reward({.terms = {hasty}});
  EXPECT_THAT(testing::message_of<base::Error>([&] { score_texts(*reward, {"hang"}); }),
              MatchesRegex("reward.terms: server: problem p7, sample 0: http.*/grade: no answer within 1 s .timeout_s. "
                           ".asked 1 time."));
}

TEST_F(Http, AServerThatDiesIsNamedAndOneThatComesBackIsAsked) {
  start();
  auto lenient = term();
  lenient.on_failure = OnFailure::kLeaveOut;
  const auto reward = make_reward({.terms = {lenient}});
  EXPECT_FALSE(score_texts(*reward, {"die"})[0].failure.empty());
  EXPECT_THAT(score_texts(*reward, {"1"})[0].failure, HasSubstr("onnect"));
  stop();
  start();
  auto patient = term();
  patient.retries = 3;  // after 1, 2 and 4 seconds
  EXPECT_EQ(score_texts(*make_reward({.terms = {patient}}), {"1"})[0].reward, 1.0);
  EXPECT_EQ(score_texts(*reward, {"1"})[0].reward, 1.0);
}

TEST_F(Http, AServerThatIsDownForAMomentIsAskedAgain) {
  start();
  auto patient = term();
  patient.retries = 4;
  const auto reward = make_reward({.terms = {patient}});
  EXPECT_EQ(score_texts(*reward, {"1"})[0].reward, 1.0);
  stop();
  start(0.5);
  EXPECT_EQ(score_texts(*reward, {"2"})[0].reward, 2.0);
}

TEST(HttpTerm, NeedsAUrlAndNoOtherDoes) {
  const auto error = [](const RewardTerm& term) {
    return testing::message_of<base::ConfigError>([&] { make_reward({.terms = {term}}); });
  };
  EXPECT_THAT(error({.type = TermType::kHttp}), HasSubstr("an http term needs a url"));
  RewardTerm misplaced{.type = TermType::kMath};
  misplaced.url = "http://127.0.0.1/";
  EXPECT_THAT(error(misplaced), HasSubstr("url belongs to an http term, not to math"));
}

}  // namespace
}  // namespace grpo::reward
