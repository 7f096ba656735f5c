#pragma once

#include <cstdint>
#include <string>

namespace grpo::dist {

/// A socket that listens where the ranks meet, for the store: at the address of `host` and nowhere else. Ranks of
/// several hosts may know this one by another address than it does itself (a name that /etc/hosts maps to 127.0.1.1, a
/// service in front of it): where the address is not one that others can reach, all interfaces. The caller owns the
/// descriptor. Throws base::DistError.
int listen_at(const std::string& host, int64_t port, bool one_host);

}  // namespace grpo::dist
