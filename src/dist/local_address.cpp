#include "dist/local_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace grpo::dist {
namespace {

std::string text_of(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = address->sa_family == AF_INET
                          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(address)->sin_addr)
                          : static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
  return inet_ntop(address->sa_family, bytes, text.data(), text.size()) == nullptr ? "" : text.data();
}

bool is_loopback(const std::string& address) { return address.starts_with("127.") || address == "::1"; }

// The address of the interface that leads to `target`. Connecting a datagram socket sends
// nothing and only looks up the route.
std::string address_towards(const addrinfo& target) {
  const int handle = socket(target.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (handle < 0) return "";
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  const bool found = connect(handle, target.ai_addr, target.ai_addrlen) == 0 &&
                     getsockname(handle, reinterpret_cast<sockaddr*>(&own), &length) == 0;
  close(handle);
  return found ? text_of(reinterpret_cast<const sockaddr*>(&own)) : "";
}

std::string first_interface() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return "";
  std::string found;
  for (const ifaddrs* entry = all; entry != nullptr && found.empty(); entry = entry->ifa_next) {
    const bool usable = entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_INET &&
                        (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_LOOPBACK) == 0;
    if (usable) found = text_of(entry->ifa_addr);
  }
  freeifaddrs(all);
  return found;
}

}  // namespace

std::string local_address(const std::string& host, int64_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* targets = nullptr;
  std::string found;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &targets) == 0) {
    for (const addrinfo* target = targets; target != nullptr && found.empty(); target = target->ai_next) {
      found = address_towards(*target);
    }
    freeaddrinfo(targets);
  }
  return found.empty() || is_loopback(found) ? first_interface() : found;
}

}  // namespace grpo::dist
