#include "grpo/metrics/prometheus.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

#include "grpo/base/error.h"

namespace grpo::metrics {
namespace {

using ::testing::HasSubstr;

// A socket that closes itself.
struct Socket {
  int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  ~Socket() { ::close(fd); }
};

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// Binds to any free port and leaves it listening.
int listen_anywhere(const Socket& socket) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(socket.fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(socket.fd, 1) != 0) throw std::runtime_error("bind");
  ::getsockname(socket.fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

int free_port() { return listen_anywhere(Socket()); }

std::string scrape(int port) {
  const Socket socket;
  const sockaddr_in address = loopback(port);
  if (::connect(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("connect");
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  if (::send(socket.fd, request.data(), request.size(), 0) != static_cast<ssize_t>(request.size())) throw std::runtime_error("send");
  std::string answer;
  char part[4096];
  for (ssize_t got = 0; (got = ::recv(socket.fd, part, sizeof part, 0)) > 0;) answer.append(part, static_cast<size_t>(got));
  return answer;
}

std::string at(int port) { return "127.0.0.1:" + std::to_string(port); }

TEST(PrometheusEndpoint, ServesTheNewestValues) {
  const int port = free_port();
  PrometheusEndpoint endpoint(at(port), "two");
  for (int64_t step = 1; step <= 2; ++step) {
    MetricsLine line;
    line.add("reward/mean", 0.25 * static_cast<double>(step));
    line.add("eval/heldout/mean@4", 0.75);
    endpoint.set(step, line);
  }
  const std::string page = scrape(port);
  EXPECT_THAT(page, HasSubstr("200 OK"));
  EXPECT_THAT(page, HasSubstr("# TYPE grpo_reward_mean gauge"));
  EXPECT_THAT(page, HasSubstr("grpo_reward_mean{run=\"two\"} 0.5\n"));
  EXPECT_THAT(page, HasSubstr("grpo_eval_heldout_mean_4{run=\"two\"} 0.75\n"));
  EXPECT_THAT(page, HasSubstr("grpo_step{run=\"two\"} 2\n"));
  EXPECT_EQ(page.find("grpo_reward_mean{run=\"two\"} 0.25"), std::string::npos);
}

TEST(PrometheusEndpoint, NamesAnAddressWhereItCannotListen) {
  const Socket taken;
  const int port = listen_anywhere(taken);
  for (const std::string& address : {at(port), std::string("nonsense"), std::string("127.0.0.1:999999")}) {
    try {
      const PrometheusEndpoint endpoint(address, "two");
      FAIL() << address << " was taken";
    } catch (const base::ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("logging.prometheus " + address + ": cannot listen there"));
    }
  }
}

}  // namespace
}  // namespace grpo::metrics
