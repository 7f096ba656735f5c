#pragma once

#include <cstdint>
#include <string>

namespace grpo::dist {

std::string host_name();

/// This host's address as the others can reach it: that of the network interface which leads to `host`, where rank 0
/// is. On rank 0 itself that may be the loopback interface, and then it is the address of the first other interface.
/// Empty when there is none.
std::string local_address(const std::string& host, int64_t port);

}  // namespace grpo::dist
