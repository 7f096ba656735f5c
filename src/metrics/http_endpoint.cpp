#include "metrics/http_endpoint.h"

#include <microhttpd.h>
#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "grpo/base/error.h"

namespace grpo::metrics {
namespace {

constexpr unsigned kConnections = 64;
constexpr size_t kConnectionBytes = 32 << 10;
constexpr unsigned kTimeout_s = 10;
constexpr size_t kStackBytes = 1 << 20;
constexpr const char* kLoopback = "127.0.0.1";

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;
using Page = std::function<std::string()>;

[[noreturn]] void fail(const std::string& address, const std::string& why) {
  throw base::ConfigError("logging.prometheus " + address + ": cannot listen there (" + why +
                          "); expected port or host:port with a free port, as 127.0.0.1:9400");
}

// Splits "9400", "host:9400" or "[::1]:9400" into host and port.
std::pair<std::string, std::string> split(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return {kLoopback, address};
  std::string host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return {host.empty() ? kLoopback : host, address.substr(colon + 1)};
}

Addresses resolve(const std::string& address) {
  const auto [host, port] = split(address);
  const bool is_number = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || std::stoi(port) > 65535) fail(address, "its port is no number from 0 to 65535");
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (code != 0) fail(address, ::gai_strerror(code));
  return {found, &::freeaddrinfo};
}

MHD_Result respond(MHD_Connection* connection, unsigned code, const std::string& text) {
  MHD_Response* response =
      MHD_create_response_from_buffer(text.size(), const_cast<char*>(text.data()), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
  if (code == MHD_HTTP_METHOD_NOT_ALLOWED) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  const MHD_Result result = MHD_queue_response(connection, code, response);
  MHD_destroy_response(response);
  return result;
}

// libmicrohttpd calls this first when it has the head of a request. Answering a refused method already then
// means that its body is never read.
MHD_Result answer(void* page, MHD_Connection* connection, const char* url, const char* method, const char*, const char*,
                  size_t* body, void**) {
  *body = 0;
  const std::string_view name(method);
  if (name != MHD_HTTP_METHOD_GET && name != MHD_HTTP_METHOD_HEAD)
    return respond(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is served\n");
  if (std::string_view(url) != "/metrics") return respond(connection, MHD_HTTP_NOT_FOUND, "only /metrics is served\n");
  try {
    return respond(connection, MHD_HTTP_OK, (*static_cast<const Page*>(page))());
  } catch (const std::exception&) {  // out of memory: only this request fails
    return MHD_NO;
  }
}

void say_nothing(void*, const char*, va_list) {}

}  // namespace

HttpEndpoint::HttpEndpoint(const std::string& address, Page page) : page_(std::move(page)) {
  const Addresses addresses = resolve(address);
  errno = 0;
  const unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ERROR_LOG |
                         (addresses->ai_family == AF_INET6 ? MHD_USE_IPv6 : MHD_NO_FLAG);
  daemon_ = MHD_start_daemon(flags, 0, nullptr, nullptr, &answer, &page_,        //
                             MHD_OPTION_EXTERNAL_LOGGER, &say_nothing, nullptr,  // first, so that it covers all of them
                             MHD_OPTION_SOCK_ADDR, addresses->ai_addr,           //
                             MHD_OPTION_CONNECTION_LIMIT, kConnections,          //
                             MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes,  //
                             MHD_OPTION_CONNECTION_TIMEOUT, kTimeout_s,             //
                             MHD_OPTION_THREAD_STACK_SIZE, kStackBytes,             //
                             MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U, MHD_OPTION_END);
  if (daemon_ == nullptr) fail(address, errno != 0 ? std::strerror(errno) : "the address is taken");
}

HttpEndpoint::~HttpEndpoint() { MHD_stop_daemon(daemon_); }

}  // namespace grpo::metrics
