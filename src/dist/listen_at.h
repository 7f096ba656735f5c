#pragma once

#include <cstdint>
#include <string>

namespace grpo::dist {

/// Opens a listening socket for the store at the place where the ranks meet, on the address of `host` and no other.
/// Ranks on other hosts may know this host by an address that it does not have itself, or that leads nowhere else:
/// behind a service, or when /etc/hosts maps its name to 127.0.1.1. In such a case the socket listens on all
/// interfaces. The caller owns the descriptor. Throws base::DistError.
int listen_at(const std::string& host, int64_t port, bool one_host);

}  // namespace grpo::dist
