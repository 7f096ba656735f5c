// Bytes that somebody sends to the endpoint of logging.prometheus. After them it answers as before.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "fuzz.h"
#include "metrics/http_endpoint.h"

namespace {

uint16_t free_port() {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(listener);
  return ntohs(address.sin_port);
}

// Sends, then reads until the server closes or says nothing for wait_ms.
std::string exchange(uint16_t port, std::string_view request, int wait_ms) {
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  ::send(client, request.data(), request.size(), MSG_NOSIGNAL);
  ::shutdown(client, SHUT_WR);
  std::string answer;
  char bytes[4096];
  pollfd waiting{.fd = client, .events = POLLIN, .revents = 0};
  // libFuzzer's alarm, every few seconds, interrupts what waits.
  const auto wait = [&waiting, wait_ms] { return TEMP_FAILURE_RETRY(::poll(&waiting, 1, wait_ms)); };
  while (wait() == 1) {
    const ssize_t count = TEMP_FAILURE_RETRY(::recv(client, bytes, sizeof bytes, 0));
    if (count <= 0) break;
    answer.append(bytes, static_cast<size_t>(count));
  }
  ::close(client);
  return answer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const uint16_t port = free_port();
  static grpo::metrics::HttpEndpoint endpoint("127.0.0.1:" + std::to_string(port),
                                              [] { return std::string("grpo_step 7\n"); });
  exchange(port, grpo::testing::text_of(data, size), 5);
  const std::string answer = exchange(port, "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 20'000);
  if (!answer.starts_with("HTTP/1.1 200") || !answer.ends_with("grpo_step 7\n")) std::abort();
  return 0;
}
