#pragma once

#include <cstdint>
#include <string>

namespace grpo::dist {

/// Opens a socket that listens where the ranks meet, for the store: at the address of `host` and nowhere else. Ranks of
/// other hosts may know this host by another address than it does itself (a name that /etc/hosts maps to 127.0.1.1, or
/// a service in front of it); where the address is not one that others can reach, it listens on all interfaces. The
/// caller owns the descriptor. Throws base::DistError.
int listen_at(const std::string& host, int64_t port, bool one_host);

}  // namespace grpo::dist
