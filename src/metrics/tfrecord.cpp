#include "metrics/tfrecord.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace grpo::metrics {
namespace {

constexpr uint32_t kCastagnoli = 0x82F63B78u;  // the polynomial of CRC-32C, bit-reversed

std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kCastagnoli : 0);
    table[i] = value;
  }
  return table;
}

// CRC-32C, rotated by 15 bits and with a constant added, as TFRecord stores it.
uint32_t masked_crc(const char* bytes, size_t size) {
  static const auto table = make_table();
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; ++i) crc = table[(crc ^ static_cast<unsigned char>(bytes[i])) & 0xFF] ^ (crc >> 8);
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

template <typename T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

template <typename T>
T get(const std::string& bytes, size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

std::string frame_record(const std::string& bytes) {
  const uint64_t length = bytes.size();
  std::string frame;
  put(frame, length);
  put(frame, masked_crc(frame.data(), sizeof length));
  frame += bytes;
  put(frame, masked_crc(bytes.data(), bytes.size()));
  return frame;
}

std::vector<std::string> read_records(const std::string& file) {
  constexpr size_t kHead = sizeof(uint64_t) + sizeof(uint32_t);
  std::vector<std::string> records;
  size_t at = 0;
  while (file.size() - at >= kHead) {
    const auto length = get<uint64_t>(file, at);
    if (get<uint32_t>(file, at + sizeof length) != masked_crc(file.data() + at, sizeof length)) break;
    if (length > file.size() - at - kHead || file.size() - at - kHead - length < sizeof(uint32_t)) break;
    std::string record = file.substr(at + kHead, length);
    if (get<uint32_t>(file, at + kHead + length) != masked_crc(record.data(), record.size())) break;
    records.push_back(std::move(record));
    at += kHead + length + sizeof(uint32_t);
  }
  return records;
}

}  // namespace grpo::metrics
