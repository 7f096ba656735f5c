#include "dist/gloo_group.h"

#include <cstdlib>
#include <exception>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "dist/local_address.h"
#include "dist/status.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::dist {
namespace {

std::shared_ptr<gloo::transport::Device> gloo_device(const Ranks& ranks) {
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && *interface != '\0') return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  const std::string address = ranks.one_host ? "127.0.0.1" : local_address(ranks.host, ranks.port);
  if (address.empty()) return c10d::ProcessGroupGloo::createDefaultDevice();
  return c10d::ProcessGroupGloo::createDeviceForHostname(address);
}

}  // namespace

c10::intrusive_ptr<c10d::Backend> connect_gloo(const Ranks& ranks, const StorePointer& store,
                                               std::chrono::seconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  try {
    options->devices.push_back(gloo_device(ranks));
    const auto keys = c10::make_intrusive<c10d::PrefixStore>("gloo", store);
    return c10::make_intrusive<c10d::ProcessGroupGloo>(keys, static_cast<int>(ranks.rank), static_cast<int>(ranks.size),
                                                       options);
  } catch (const std::exception& error) {
    throw base::DistError(base::concat("rank ", ranks.rank, " on host ", base::host_name(),
                                       " cannot connect to the other ranks (", base::first_line(error.what()),
                                       "); GLOO_SOCKET_IFNAME names the network interface to use"));
  }
}

}  // namespace grpo::dist
