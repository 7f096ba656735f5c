#include "device/runtime/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "device/runtime/report.h"
#include "device/runtime/settings.h"
#include "device/runtime/streams.h"

namespace grpo::host_device {
namespace {

struct Region {
  size_t bytes = 0;
  uint64_t number = 0;
  int device = 0;
};
using Regions = std::map<const char*, Region>;

struct Memory {
  std::mutex mutex;
  Regions segments;  // cudaMalloc
  Regions pieces;    // of segments, that LibTorch's allocator has handed out
  Regions pinned;
  std::map<int, size_t> used;
  uint64_t next = 1;
  MemoryCounts counts;
};

Memory& memory() {
  static auto* const kept = new Memory;
  return *kept;
}

Regions::const_iterator find(const Regions& regions, const void* pointer) {
  auto after = regions.upper_bound(static_cast<const char*>(pointer));
  if (after == regions.begin()) return regions.end();
  --after;
  return static_cast<const char*>(pointer) < after->first + after->second.bytes ? after : regions.end();
}

uint64_t number_at(const Regions& regions, const void* pointer) {
  const auto found = find(regions, pointer);
  return found == regions.end() ? 0 : found->second.number;
}

// Pages appear when they are touched.
void* map_pages(size_t bytes) {
  void* const pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

constexpr uintptr_t kPage = 4096;

// As large as a piece must be for new pages to be cheaper than writing the old ones.
constexpr size_t kPatternBytes = size_t{16} << 20;

// Pages of the pattern. They are shared until somebody writes them, so that a device full of untouched memory takes no
// room on this machine.
int pattern_file() {
  static const int file = [] {
    const int made = memfd_create("host device", MFD_CLOEXEC);
    const std::vector<unsigned char> bytes(kPatternBytes, kPattern);
    if (made < 0 || write(made, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) std::abort();
    return made;
  }();
  return file;
}

// REQUIRES: whole pages that were mapped here. Offsets follow addresses, so that neighbours stay one mapping.
void map_pattern(char* begin, char* end, int sharing) {
  while (begin < end) {
    const size_t offset = reinterpret_cast<uintptr_t>(begin) % kPatternBytes;
    const size_t bytes = std::min(kPatternBytes - offset, static_cast<size_t>(end - begin));
    if (mmap(begin, bytes, PROT_READ | PROT_WRITE, sharing | MAP_FIXED | MAP_NORESERVE, pattern_file(),
             static_cast<off_t>(offset)) == MAP_FAILED)
      std::abort();
    begin += bytes;
  }
}

}  // namespace

bool allocate(void** pointer, size_t bytes, int device) {
  auto& m = memory();
  const std::lock_guard lock(m.mutex);
  if (m.used[device] + bytes > settings().memory) return false;
  *pointer = map_pages(bytes);
  if (*pointer == nullptr) return false;
  fill_device(*pointer, bytes);
  m.segments[static_cast<char*>(*pointer)] = {bytes, m.next++, device};
  m.used[device] += bytes;
  ++m.counts.allocations;
  m.counts.bytes += static_cast<int64_t>(bytes);
  m.counts.most_bytes = std::max(m.counts.most_bytes, m.counts.bytes);
  report(m.counts);
  return true;
}

bool release(void* pointer) {
  auto& m = memory();
  const std::lock_guard lock(m.mutex);
  const auto found = m.segments.find(static_cast<const char*>(pointer));
  if (found == m.segments.end()) return false;
  const auto [start, region] = *found;
  m.used[region.device] -= region.bytes;
  m.counts.bytes -= static_cast<int64_t>(region.bytes);
  m.segments.erase(found);
  m.pieces.erase(m.pieces.lower_bound(start), m.pieces.lower_bound(start + region.bytes));
  munmap(pointer, region.bytes);
  return true;
}

size_t free_bytes(int device) {
  const std::lock_guard lock(memory().mutex);
  return settings().memory - memory().used[device];
}

void on_allocated(const void* data, size_t bytes) {
  auto& m = memory();
  const std::lock_guard lock(m.mutex);
  m.pieces[static_cast<const char*>(data)] = {bytes, m.next++, 0};
  m.counts.handed_out += static_cast<int64_t>(bytes);
  m.counts.most_handed_out = std::max(m.counts.most_handed_out, m.counts.handed_out);
  report(m.counts);
}

void on_freed(const void* data, size_t bytes, cudaStream_t stream) {
  {
    auto& m = memory();
    const std::lock_guard lock(m.mutex);
    if (m.pieces.erase(static_cast<const char*>(data)) != 0) m.counts.handed_out -= static_cast<int64_t>(bytes);
  }
  poison_later(stream, const_cast<void*>(data), bytes);
}

Place place_of(const Span& span) {
  const std::lock_guard lock(memory().mutex);
  Place place{.span = span, .segment = number_at(memory().segments, span.data)};
  if (const auto piece = find(memory().pieces, span.data); piece != memory().pieces.end()) {
    place.piece = piece->second.number;
    place.whole = {piece->first, piece->second.bytes};
  }
  return place;
}

uint64_t latest_piece() {
  const std::lock_guard lock(memory().mutex);
  return memory().next - 1;
}

std::string what_is_gone(const Place& place, bool pooled) {
  const Place now = place_of(place.span);
  if (place.segment != now.segment) return "memory that was given back with cudaFree";
  const bool in_place = place.whole.data == now.whole.data && place.whole.bytes == now.whole.bytes;
  if (pooled || place.piece == now.piece || (now.piece != 0 && in_place)) return "";
  return now.piece == 0 ? "memory that was freed" : "memory that was freed and now belongs to something else";
}

Kind kind_of(const void* pointer) {
  const std::lock_guard lock(memory().mutex);
  if (find(memory().segments, pointer) != memory().segments.end()) return Kind::kDevice;
  return find(memory().pinned, pointer) != memory().pinned.end() ? Kind::kPinned : Kind::kPageable;
}

bool is_device_memory(const void* pointer) { return kind_of(pointer) == Kind::kDevice; }

int device_of(const void* pointer) {
  const std::lock_guard lock(memory().mutex);
  const auto found = find(memory().segments, pointer);
  return found == memory().segments.end() ? -1 : found->second.device;
}

bool allocate_pinned(void** pointer, size_t bytes) {
  *pointer = map_pages(bytes);
  if (*pointer == nullptr) return false;
  if (!settings().arithmetic && bytes >= kPatternBytes) {  // who fills it always writes the same pages
    auto* const begin = static_cast<char*>(*pointer);
    map_pattern(begin, begin + (bytes + kPage - 1) / kPage * kPage, MAP_SHARED);
  }
  register_pinned(*pointer, bytes);
  return true;
}

void release_pinned(void* pointer) {
  size_t bytes = 0;
  {
    const std::lock_guard lock(memory().mutex);
    const auto found = memory().pinned.find(static_cast<const char*>(pointer));
    if (found == memory().pinned.end()) return;
    bytes = found->second.bytes;
    memory().pinned.erase(found);
  }
  munmap(pointer, bytes);
}

void register_pinned(void* pointer, size_t bytes) {
  const std::lock_guard lock(memory().mutex);
  memory().pinned[static_cast<const char*>(pointer)] = {bytes, memory().next++, 0};
}

void unregister_pinned(void* pointer) {
  const std::lock_guard lock(memory().mutex);
  memory().pinned.erase(static_cast<const char*>(pointer));
}

void fill(void* pointer, size_t bytes) {
  if (settings().arithmetic) std::memset(pointer, kPattern, bytes);
}

void fill_device(void* pointer, size_t bytes) {
  if (!settings().arithmetic) return;
  if (bytes < kPatternBytes) return fill(pointer, bytes);
  auto *const begin = static_cast<char*>(pointer), *const end = begin + bytes;
  char* const first = begin + (kPage - reinterpret_cast<uintptr_t>(begin) % kPage) % kPage;
  char* const last = end - reinterpret_cast<uintptr_t>(end) % kPage;
  fill(begin, static_cast<size_t>(first - begin));
  map_pattern(first, last, MAP_PRIVATE);
  fill(last, static_cast<size_t>(end - last));
}

uint64_t fingerprint(const void* pointer, size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(pointer);
  uint64_t sum = 1469598103934665603ull ^ bytes;  // FNV over words, the rest byte by byte
  for (; bytes >= 8; bytes -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    sum = (sum ^ word) * 1099511628211ull;
    sum ^= sum >> 29;
  }
  for (; bytes > 0; --bytes, ++at) sum = (sum ^ *at) * 1099511628211ull;
  return sum;
}

MemoryCounts memory_counts() {
  const std::lock_guard lock(memory().mutex);
  return memory().counts;
}

}  // namespace grpo::host_device
