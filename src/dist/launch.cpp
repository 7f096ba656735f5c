#include "grpo/dist/launch.h"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/base/random.h"

namespace grpo::dist {
namespace {

constexpr int64_t kDefaultPort = 29500;  // torchrun's default
// Ports for jobs without MASTER_PORT lie below the range from which Linux takes ports for outgoing connections.
constexpr int64_t kFirstPort = 10000;
constexpr int64_t kNumPorts = 20000;

/// The names of the variables that one launcher sets.
struct Names {
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};
constexpr Names kTorchrun = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
constexpr Names kOpenMpi = {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
                            "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr Names kPmi = {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"};
constexpr Names kSlurm = {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", nullptr};

std::optional<std::string> find(const Environment& environment, const char* name) {
  if (name == nullptr) return std::nullopt;
  auto value = environment(name);
  if (value && value->empty()) return std::nullopt;
  return value;
}

std::optional<int64_t> find_number(const Environment& environment, const char* name, int64_t min, int64_t max) {
  const auto text = find(environment, name);
  if (!text) return std::nullopt;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < min || number > max) {
    throw base::ConfigError(
        base::concat(name, "=", *text, ": expected a whole number from ", min,
                     max < std::numeric_limits<int32_t>::max() ? base::concat(" to ", max) : std::string()));
  }
  return number;
}

constexpr int64_t kMany = std::numeric_limits<int32_t>::max();

[[noreturn]] void missing(const char* name, const std::string& known, const std::string& expected) {
  throw base::ConfigError(base::concat(name, " is not set, but ", known, ": expected ", expected));
}

// Slurm (--gpus-per-task=1) and the scripts around MPI programs give each rank a GPU that it sees alone and that has
// number 0, whatever its number on the host. torchrun, and so --nproc, give all ranks the same environment.
bool sees_own_device_alone(const Environment& environment, const Names& names) {
  const auto visible = find(environment, "CUDA_VISIBLE_DEVICES");
  return &names != &kTorchrun && visible && visible->find(',') == std::string::npos;
}

std::string assignment(const char* name, int64_t value) { return base::concat(name, "=", value); }

// Reads rank, size and local rank, that is everything but the place where the ranks meet.
Ranks places(const Environment& environment, const Names& names) {
  Ranks ranks;
  const auto size = find_number(environment, names.size, 1, kMany);
  if (!size) missing(names.size, base::concat(names.rank, " is"), "the number of ranks");
  ranks.size = *size;
  const auto rank = find_number(environment, names.rank, 0, kMany);
  if (!rank) {
    if (ranks.size == 1) return ranks;
    missing(names.rank, assignment(names.size, ranks.size), "this process's rank");
  }
  ranks.rank = *rank;
  if (ranks.rank >= ranks.size) {
    throw base::ConfigError(base::concat(assignment(names.rank, ranks.rank), " with ",
                                         assignment(names.size, ranks.size), ": expected a rank from 0 to ",
                                         ranks.size - 1));
  }
  ranks.local_rank = find_number(environment, names.local_rank, 0, kMany).value_or(0);
  const auto local_size = find_number(environment, names.local_size, 1, kMany);
  const int64_t most = local_size.value_or(ranks.size);
  if (most > ranks.size) {
    throw base::ConfigError(base::concat(assignment(names.local_size, most), " with ",
                                         assignment(names.size, ranks.size),
                                         ": one host cannot hold more ranks than there are"));
  }
  if (ranks.local_rank >= most) {
    throw base::ConfigError(base::concat(assignment(names.local_rank, ranks.local_rank), " with ",
                                         assignment(local_size ? names.local_size : names.size, most),
                                         ": expected a number from 0 to ", most - 1));
  }
  ranks.one_host = local_size == ranks.size;
  if (sees_own_device_alone(environment, names)) ranks.local_rank = 0;
  return ranks;
}

// Gives steps of one job, and jobs with neighbouring numbers, different ports.
int64_t slurm_port(const Environment& environment) {
  const auto job = find_number(environment, "SLURM_JOB_ID", 0, std::numeric_limits<int64_t>::max() / 16);
  if (!job) missing("SLURM_JOB_ID", "SLURM_STEP_NUM_TASKS is", "the job's number, or MASTER_PORT");
  const auto step = find_number(environment, "SLURM_STEP_ID", 0, std::numeric_limits<int64_t>::max() / 16).value_or(0);
  return kFirstPort + (*job * 16 + step) % kNumPorts;
}

// Open MPI names its jobs, so each job gets a port of its own. MPICH does not, so two MPICH jobs on one host need
// different values of MASTER_PORT.
int64_t mpi_port(const Environment& environment) {
  for (const char* name : {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"}) {
    const auto job = find(environment, name);
    if (job) return kFirstPort + static_cast<int64_t>(base::stream_id(*job) % kNumPorts);
  }
  return kDefaultPort;
}

void meet_in_slurm(const Environment& environment, Ranks& ranks) {
  if (ranks.port == 0) ranks.port = slurm_port(environment);
  const auto nodes = find(environment, "SLURM_STEP_NODELIST");
  if (nodes) ranks.one_host = num_hosts(*nodes) == 1;
  if (!ranks.host.empty()) return;
  if (!nodes)
    missing("SLURM_STEP_NODELIST", assignment("SLURM_STEP_NUM_TASKS", ranks.size), "the step's hosts, or MASTER_ADDR");
  ranks.host = ranks.one_host ? "127.0.0.1" : first_host(*nodes);
}

void meet_in_mpi(const Environment& environment, const Names& names, Ranks& ranks) {
  if (ranks.host.empty() && !ranks.one_host) {
    missing("MASTER_ADDR", assignment(names.size, ranks.size),
            "the name or address of rank 0's host (mpirun -x MASTER_ADDR=...)");
  }
  if (ranks.port == 0 && !ranks.one_host) {
    missing("MASTER_PORT", assignment(names.size, ranks.size),
            "a free port on rank 0's host (mpirun -x MASTER_PORT=...)");
  }
  if (ranks.host.empty()) ranks.host = "127.0.0.1";
  if (ranks.port == 0) ranks.port = mpi_port(environment);
}

void meet_in_torchrun(const Environment& environment, Ranks& ranks) {
  if (ranks.host.empty())
    missing("MASTER_ADDR", assignment("WORLD_SIZE", ranks.size), "the name or address of rank 0's host");
  if (ranks.port == 0) missing("MASTER_PORT", assignment("WORLD_SIZE", ranks.size), "a free port on rank 0's host");
  const std::string agent = find(environment, "TORCHELASTIC_USE_AGENT_STORE").value_or("False");
  if (agent != "True" && agent != "False") {
    throw base::ConfigError("TORCHELASTIC_USE_AGENT_STORE=" + agent + ": expected True or False");
  }
  if (agent == "False") return;
  ranks.hosts_store = false;
  ranks.attempt = std::to_string(find_number(environment, "TORCHELASTIC_RESTART_COUNT", 0, kMany).value_or(0));
}

bool same_place(const Environment& environment, const Names& a, const Names& b) {
  return find(environment, a.rank) == find(environment, b.rank) &&
         find(environment, a.size) == find(environment, b.size);
}

const Names* launcher_of(const Environment& environment) {
  if (find(environment, kTorchrun.rank)) return &kTorchrun;
  // srun --mpi=pmi2 sets the variables of Slurm and of PMI. Slurm's are used, since they also say where to meet.
  if (find(environment, kSlurm.size) && same_place(environment, kSlurm, kPmi)) return &kSlurm;
  for (const Names* names : {&kOpenMpi, &kPmi, &kSlurm}) {
    if (find(environment, names->size)) return names;
  }
  // Slurm sets SLURM_PROCID also for the batch script of an allocation, while the ranks of Open MPI and PMI are only
  // set by mpirun, so the latter are looked at first.
  for (const Names* names : {&kOpenMpi, &kPmi}) {
    if (find(environment, names->rank)) return names;
  }
  return find(environment, kTorchrun.size) ? &kTorchrun : nullptr;
}

// Job scripts export WORLD_SIZE for programs that read it. It must then equal the number of
// ranks that the launcher gives.
void check_world_size(const Environment& environment, const Names& names, int64_t size) {
  const auto world_size = find_number(environment, kTorchrun.size, 1, kMany);
  if (!world_size || *world_size == size) return;
  throw base::ConfigError(base::concat(assignment(kTorchrun.size, *world_size), " contradicts ",
                                       assignment(names.size, size),
                                       ": expected the same number of ranks, or WORLD_SIZE not set"));
}

/// Splits a Slurm node list at the commas that are outside of brackets.
std::vector<std::string> list_parts(const std::string& list) {
  std::vector<std::string> parts(1);
  bool inside = false, malformed = false;
  for (const char c : list) {
    malformed = malformed || (c == '[' && inside) || (c == ']' && !inside);
    inside = c == '[' || (inside && c != ']');
    if (c == ',' && !inside) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  for (const auto& part : parts) malformed = malformed || part.empty();
  if (malformed || inside) {
    throw base::ConfigError("SLURM_STEP_NODELIST=" + list + ": expected names like node[003-005,9],other7");
  }
  return parts;
}

/// The pieces of "prefix[003-005,9]suffix". A text without brackets is all prefix.
struct Pattern {
  std::string prefix, ranges, suffix;
};

Pattern split(const std::string& part) {
  const size_t open = part.find('[');
  if (open == std::string::npos) return {part, "", ""};
  const size_t close = part.find(']', open);
  return {part.substr(0, open), part.substr(open + 1, close - open - 1), part.substr(close + 1)};
}

int64_t count(const std::string& ranges) {
  int64_t total = 0;
  for (const auto& range : list_parts(ranges)) {
    const size_t dash = range.find('-');
    try {
      total +=
          dash == std::string::npos ? 1 : std::stoll(range.substr(dash + 1)) - std::stoll(range.substr(0, dash)) + 1;
    } catch (const std::logic_error&) {
      throw base::ConfigError("SLURM_STEP_NODELIST: [" + ranges + "]: expected numbers and ranges like 003-005,9");
    }
  }
  return total;
}

// The first host that a part such as rack[0-1]n[00-15] names: it takes the first number of every bracket.
std::string first_name(const std::string& part) {
  const Pattern pattern = split(part);
  if (pattern.ranges.empty()) return part;
  const std::string first = pattern.ranges.substr(0, pattern.ranges.find_first_of("-,"));
  return pattern.prefix + first + first_name(pattern.suffix);
}

int64_t num_names(const std::string& part) {
  const Pattern pattern = split(part);
  if (pattern.ranges.empty()) return 1;
  return count(pattern.ranges) * num_names(pattern.suffix);
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

Ranks ranks_from(const Environment& environment) {
  const Names* names = launcher_of(environment);
  if (names == nullptr) return {};
  Ranks ranks = places(environment, *names);
  if (names != &kTorchrun) check_world_size(environment, *names, ranks.size);
  if (ranks.size == 1) return {.rank = 0, .size = 1, .local_rank = ranks.local_rank};
  ranks.host = find(environment, "MASTER_ADDR").value_or("");
  ranks.port = find_number(environment, "MASTER_PORT", 1, 65535).value_or(0);
  ranks.hosts_store = ranks.rank == 0;
  if (names == &kTorchrun) {
    meet_in_torchrun(environment, ranks);
  } else if (names == &kSlurm) {
    meet_in_slurm(environment, ranks);
  } else {
    meet_in_mpi(environment, *names, ranks);
  }
  return ranks;
}

std::string first_host(const std::string& node_list) { return first_name(list_parts(node_list).front()); }

int64_t num_hosts(const std::string& node_list) {
  int64_t total = 0;
  for (const auto& part : list_parts(node_list)) total += num_names(part);
  return total;
}

}  // namespace grpo::dist
