#include "device/nccl/messages.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "device/nccl/collectives.h"

namespace grpo::device_nccl {
namespace {

class Message {
 public:
  Message(Communicator& ranks, const Operation& operation)
      : ranks_(ranks), operation_(operation), bytes_(operation.call.count * bytes_of(operation.call.type)) {}

  bool complete() const { return done_ == bytes_ && (!sends() || box().taken >= last_); }
  bool same_way(const Message& other) const {
    return sends() == other.sends() && operation_.peer == other.operation_.peer;
  }

  /// Moves a piece if it can.
  bool move() { return sends() ? put() : fetch(); }

 private:
  bool sends() const { return operation_.call.kind == Kind::kSend; }
  Mailbox& box() const {
    return sends() ? ranks_.segment().mailbox(ranks_.rank(), operation_.peer)
                   : ranks_.segment().mailbox(operation_.peer, ranks_.rank());
  }
  size_t piece() const { return std::min(kPieceBytes, bytes_ - done_); }

  bool put() {
    Mailbox& box = this->box();
    if (done_ == bytes_ || box.sent != box.taken) return false;
    std::memcpy(box.piece, static_cast<const std::byte*>(operation_.in) + done_, piece());
    box.call = operation_.call;
    done_ += piece();
    last_ = ++box.sent;
    return true;
  }

  bool fetch() {
    Mailbox& box = this->box();
    if (done_ == bytes_ || box.sent == box.taken) return false;
    Call expected = operation_.call;
    expected.kind = Kind::kSend;
    if (!(box.call == expected)) hang(ranks_, operation_.peer, operation_.call, box.call);
    std::memcpy(static_cast<std::byte*>(operation_.out) + done_, box.piece, piece());
    done_ += piece();
    ++box.taken;
    return true;
  }

  Communicator& ranks_;
  const Operation operation_;
  const size_t bytes_;
  size_t done_ = 0;
  uint64_t last_ = 0;  // number of the last piece put
};

// Moves what can be moved of the first message that is not complete, of each way.
bool move_first(std::vector<Message>& messages) {
  bool moved = false;
  for (size_t i = 0; i < messages.size(); ++i) {
    const bool first =
        std::none_of(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(i),
                     [&](const Message& earlier) { return earlier.same_way(messages[i]) && !earlier.complete(); });
    if (first && messages[i].move()) moved = true;
  }
  return moved;
}

}  // namespace

void pass_messages(Communicator& ranks, const std::vector<Operation>& operations) {
  std::vector<Message> messages;
  for (const auto& operation : operations) messages.emplace_back(ranks, operation);
  const auto all_complete = [&] {
    return std::all_of(messages.begin(), messages.end(), [](const Message& m) { return m.complete(); });
  };
  while (!all_complete())
    ranks.wait_until([&] { return move_first(messages) || all_complete(); }, "a message between two ranks");
}

}  // namespace grpo::device_nccl
