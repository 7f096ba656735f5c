#include "update/side_stream.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <map>
#include <mutex>
#include <utility>

namespace grpo::update {
namespace {

using c10::impl::VirtualGuardImpl;

// LibTorch's pool hands out another stream at each call, so the first one is kept and returned from then on.
c10::Stream stream_beside(at::Device device) {
  static std::mutex mutex;
  static std::map<c10::DeviceIndex, c10::Stream> streams;
  const std::lock_guard lock(mutex);
  const auto known = streams.find(device.index());
  if (known != streams.end()) return known->second;
  return streams.emplace(device.index(), VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device)).first->second;
}

}  // namespace

c10::Stream current_stream(at::Device device) { return VirtualGuardImpl(device.type()).getStream(device); }

std::optional<c10::StreamGuard> side_stream(at::Device device) {
  if (!device.is_cuda()) return std::nullopt;
  return std::optional<c10::StreamGuard>(std::in_place, stream_beside(device));
}

std::optional<c10::Event> record_event(at::Device device) {
  if (!device.is_cuda()) return std::nullopt;
  std::optional<c10::Event> event(std::in_place, device.type());
  event->record(current_stream(device));
  return event;
}

}  // namespace grpo::update
