#pragma once

#include <cstdint>
#include <string>

namespace grpo::dist {

/// This host's address as other hosts can reach it: that of the network interface which leads to `host`, the host
/// of rank 0. On rank 0 itself this may be the loopback interface; then it is the address of the first other
/// interface. Empty when there is none.
std::string local_address(const std::string& host, int64_t port);

}  // namespace grpo::dist
