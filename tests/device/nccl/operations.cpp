#include "device/nccl/operations.h"

#include "device/nccl/collectives.h"
#include "device/nccl/messages.h"

namespace grpo::device_nccl {

void run(Communicator& ranks, const std::vector<Operation>& operations) {
  std::vector<Operation> messages;
  for (const auto& operation : operations) {
    if (operation.call.kind == Kind::kSend || operation.call.kind == Kind::kReceive) {
      messages.push_back(operation);
    } else {
      run_collective(ranks, operation);
    }
  }
  pass_messages(ranks, messages);
}

}  // namespace grpo::device_nccl
