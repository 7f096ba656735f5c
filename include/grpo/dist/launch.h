#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace grpo::dist {

/// Which of how many processes this one is, and where they meet.
struct Ranks {
  int64_t rank = 0;
  int64_t size = 1;
  int64_t local_rank = 0;  // among the ranks of this host; 0 where the launcher does not say
  bool one_host = false;   // all ranks are known to be on this host
  std::string host;        // of the store where the ranks meet; empty for one rank
  int64_t port = 0;
  bool hosts_store = false;  // this rank opens the store; false everywhere when torchrun's agent has one
  std::string attempt;       // which start of a job that restarts with the same store; "" or a number
};

/// Looks up an environment variable; nullopt where it is not set. An empty one counts as not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

Environment process_environment();

/// Reads the variables that launchers set for each process, of the first launcher of this list that has set any:
///   RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE   torchrun, Kubernetes PyTorchJob, --nproc
///   OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE   Open MPI's mpirun
///   PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS   MPICH's and Intel's mpiexec
///   SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID   Slurm's srun (an allocation without srun is one process)
/// Slurm's variables come last because mpirun starts its helpers with srun inside an allocation. Whatever the launcher,
/// MASTER_ADDR and MASTER_PORT say where rank 0 is. Without them it is found from Slurm's node list and job number, or,
/// for ranks that are known to be on one host, at 127.0.0.1 and a port. Throws base::ConfigError naming the variable
/// that is missing, is malformed or contradicts another.
Ranks ranks_from(const Environment& environment);

/// To be called when the launcher saw the process of another rank die: this process's communicator then need not wait
/// until that rank has been silent long enough. Safe to call from a signal handler.
void note_death(int64_t rank);

/// The first host of a Slurm node list: "node003" of "node[003-005,9],other7". Throws base::ConfigError.
std::string first_host(const std::string& node_list);

/// How many hosts a Slurm node list names.
int64_t num_hosts(const std::string& node_list);

}  // namespace grpo::dist
