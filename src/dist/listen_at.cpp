#include "dist/listen_at.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "grpo/base/error.h"

namespace grpo::dist {
namespace {

constexpr int kBacklog = 4096;  // all ranks of a large job come at once; the kernel may lower it

struct FreeAddresses {
  void operator()(addrinfo* all) const { ::freeaddrinfo(all); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Addresses resolve(const char* host, int64_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host, std::to_string(port).c_str(), &hints, &found) != 0) found = nullptr;
  return Addresses(found);
}

bool is_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET)
    return (ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr) >> 24) == 127;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr) != 0;
}

// Returns a listening socket, or -1 with the reason in errno.
int listen_on(const addrinfo& address) {
  const int handle = ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (handle < 0) return -1;
  const int yes = 1;
  const int no = 0;
  ::setsockopt(handle, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (address.ai_family == AF_INET6) ::setsockopt(handle, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  if (::bind(handle, address.ai_addr, address.ai_addrlen) == 0 && ::listen(handle, kBacklog) == 0) return handle;
  const int reason = errno;
  ::close(handle);
  errno = reason;
  return -1;
}

// Listens at the first address that belongs to this host and that the other ranks can reach.
int listen_on_any(const addrinfo* all, bool loopback_reaches_all) {
  errno = EADDRNOTAVAIL;
  for (const addrinfo* address = all; address != nullptr; address = address->ai_next) {
    if (is_loopback(address->ai_addr) && !loopback_reaches_all) continue;
    const int handle = listen_on(*address);
    if (handle >= 0 || errno == EADDRINUSE) return handle;
  }
  return -1;
}

}  // namespace

int listen_at(const std::string& host, int64_t port, bool one_host) {
  int handle =
      listen_on_any(resolve(host.c_str(), port).get(), one_host || host == "localhost" || host.starts_with("127."));
  for (const char* all : {"::", "0.0.0.0"}) {
    if (handle < 0 && errno != EADDRINUSE) handle = listen_on_any(resolve(all, port).get(), true);
  }
  if (handle < 0) throw base::DistError(base::concat("cannot listen there: ", std::strerror(errno)));
  return handle;
}

}  // namespace grpo::dist
