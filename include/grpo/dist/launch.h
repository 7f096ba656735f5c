#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace grpo::dist {

/// This process's rank, the number of ranks, and the place where the ranks meet.
struct Ranks {
  int64_t rank = 0;
  int64_t size = 1;
  // Number among the ranks of this host, which is that of its GPU too; 0 if the launcher does not say, or gives each
  // rank a GPU that it sees alone (CUDA_VISIBLE_DEVICES).
  int64_t local_rank = 0;
  bool one_host = false;  // whether all ranks are known to be on this host
  std::string host;       // host of the store where the ranks meet; empty for a single rank
  int64_t port = 0;
  bool hosts_store = false;  // whether this rank opens the store; false on all ranks if torchrun's agent has one
  std::string attempt;       // counts the starts of a job that torchrun restarts with the same store; "" without
};

/// Looks up an environment variable; nullopt where it is not set. An empty one counts as not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

Environment process_environment();

/// Reads the variables that launchers set for each process. The first launcher of this list that has set any counts:
///   RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE   torchrun, Kubernetes PyTorchJob, --nproc
///   OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE   Open MPI's mpirun
///   PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS   MPICH's and Intel's mpiexec
///   SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID   Slurm's srun (an allocation without srun is one process)
/// Slurm's variables come last because mpirun starts its helpers with srun inside an allocation. Whatever the launcher,
/// MASTER_ADDR and MASTER_PORT say where rank 0 is. Without them the place follows from Slurm's node list and job
/// number or, for ranks that are known to be on one host, is 127.0.0.1 and a port that depends on the job. Throws
/// base::ConfigError naming a variable that is missing, malformed or contradicts another.
Ranks ranks_from(const Environment& environment);

/// To be called when the launcher saw the process of another rank die. This process's communicator then need not wait
/// until that rank has been silent for long enough. May be called from a signal handler.
void note_death(int64_t rank);

/// The first host of a Slurm node list: "node003" for "node[003-005,9],other7". Throws base::ConfigError.
std::string first_host(const std::string& node_list);

/// How many hosts a Slurm node list names.
int64_t num_hosts(const std::string& node_list);

}  // namespace grpo::dist
