#include "grpo/metrics/prometheus.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

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
  if (::bind(socket.fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(socket.fd, 1) != 0)
    throw std::runtime_error("bind");
  ::getsockname(socket.fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

int free_port() { return listen_anywhere(Socket()); }

std::string scrape(int port) {
  const Socket socket;
  const sockaddr_in address = loopback(port);
  if (::connect(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("connect");
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  if (::send(socket.fd, request.data(), request.size(), 0) != static_cast<ssize_t>(request.size()))
    throw std::runtime_error("send");
  std::string answer;
  char part[4096];
  for (ssize_t got = 0; (got = ::recv(socket.fd, part, sizeof part, 0)) > 0;)
    answer.append(part, static_cast<size_t>(got));
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

// What comes back for these bytes; the connection is closed for writing after them.
std::string ask(int port, const std::string& bytes) {
  const Socket socket;
  const sockaddr_in address = loopback(port);
  if (::connect(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("connect");
  (void)::send(socket.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);  // the server may have hung up before the end
  ::shutdown(socket.fd, SHUT_WR);
  std::string answer;
  char part[4096];
  for (ssize_t got = 0; (got = ::recv(socket.fd, part, sizeof part, 0)) > 0;)
    answer.append(part, static_cast<size_t>(got));
  return answer;
}

TEST(PrometheusEndpoint, AnswersEveryKindOfRequestAndGoesOn) {
  const int port = free_port();
  PrometheusEndpoint endpoint(at(port), "two");
  endpoint.set(1, {});
  EXPECT_THAT(ask(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), HasSubstr("404"));
  EXPECT_THAT(ask(port, "POST /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"),
              HasSubstr("405"));
  EXPECT_THAT(ask(port, "HEAD /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), HasSubstr("200"));
  const std::vector<std::string> broken = {
      "",
      "\r\n\r\n",
      "GET",
      "GET /metrics",
      "\x16\x03\x01 hello",
      std::string(1 << 20, 'A'),
      "GET /" + std::string(1 << 20, 'a') + " HTTP/1.1\r\n\r\n",
      "GET /metrics HTTP/1.1\r\n" + std::string(1 << 20, 'h') + ": 1\r\n\r\n",
      "PUT /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n" + std::string(1 << 20, 'b'),
      "DELETE /%00%ff HTTP/9.9\r\n\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n"};
  for (const auto& request : broken) ask(port, request);
  EXPECT_THAT(scrape(port), HasSubstr("grpo_step"));
}

// More than the endpoint holds at a time: the rest waits in the kernel and takes no descriptor of this process.
TEST(PrometheusEndpoint, KeepsDescriptorsFreeHoweverManyConnect) {
  const int port = free_port();
  PrometheusEndpoint endpoint(at(port), "two");
  std::vector<Socket> idle(300);
  const sockaddr_in address = loopback(port);
  for (const Socket& socket : idle) {
    ::fcntl(socket.fd, F_SETFL, O_NONBLOCK);
    (void)::connect(socket.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    (void)::send(socket.fd, "GET ", 4, MSG_NOSIGNAL);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const auto open = std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  EXPECT_LT(open, 300 + 64 + 40);  // ours, its connections, and what the test program had before
  idle.clear();
  EXPECT_THAT(scrape(port), HasSubstr("200 OK"));
}

TEST(PrometheusEndpoint, ListensOnLoopbackOnlyWhereNoHostIsNamed) {
  const int port = free_port();
  const PrometheusEndpoint endpoint(std::to_string(port), "two");
  EXPECT_THAT(scrape(port), HasSubstr("200 OK"));
  std::ifstream table("/proc/net/tcp");
  char local[32];
  std::snprintf(local, sizeof local, "0100007F:%04X 00000000:0000 0A",
                static_cast<unsigned>(port));  // 127.0.0.1, listening
  EXPECT_THAT(std::string(std::istreambuf_iterator<char>(table), {}), HasSubstr(local));
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
