#include "grpo/dist/launch.h"

#include <gmock/gmock.h>

#include <map>

#include "grpo/base/error.h"
#include "support/message_of.h"

namespace grpo::dist {
namespace {

using ::testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

Environment environment_of(const Variables& variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

Ranks read(const Variables& variables) { return ranks_from(environment_of(variables)); }

std::string error_of(const Variables& variables) {
  return testing::message_of<base::ConfigError>([&] { read(variables); });
}

Variables with(Variables variables, const Variables& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}

Variables without(Variables variables, const std::string& name) {
  variables.erase(name);
  return variables;
}

const Variables kTorchrun = {{"RANK", "5"},
                             {"WORLD_SIZE", "8"},
                             {"LOCAL_RANK", "1"},
                             {"LOCAL_WORLD_SIZE", "4"},
                             {"MASTER_ADDR", "node1"},
                             {"MASTER_PORT", "1234"}};
const Variables kSlurm = {{"SLURM_JOB_ID", "1234567"},    {"SLURM_STEP_ID", "2"},
                          {"SLURM_PROCID", "9"},          {"SLURM_LOCALID", "1"},
                          {"SLURM_STEP_NUM_TASKS", "16"}, {"SLURM_STEP_NODELIST", "gpu[003-004]"}};
const Variables kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "3"},
                            {"OMPI_COMM_WORLD_SIZE", "4"},
                            {"OMPI_COMM_WORLD_LOCAL_RANK", "3"},
                            {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
                            {"PMIX_NAMESPACE", "prterun-a-17@1"}};
const Variables kPmi = {{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "7"}};

TEST(Launch, TheGpuThatARankSeesAloneHasNumber0) {
  const Variables alone = {{"CUDA_VISIBLE_DEVICES", "3"}}, several = {{"CUDA_VISIBLE_DEVICES", "0,1,2,3"}};
  EXPECT_EQ(read(kSlurm).local_rank, 1);
  EXPECT_EQ(read(with(kSlurm, several)).local_rank, 1);
  EXPECT_EQ(read(with(kSlurm, alone)).local_rank, 0);
  EXPECT_EQ(read(with(kOpenMpi, alone)).local_rank, 0);
  EXPECT_EQ(read(with(kTorchrun, alone)).local_rank, 1);  // all its ranks see that one
}

TEST(Launch, IsOneProcessWhereNoLauncherSaysOtherwise) {
  for (const Variables& variables :
       {Variables{}, Variables{{"WORLD_SIZE", "1"}}, Variables{{"RANK", "0"}, {"WORLD_SIZE", "1"}},
        Variables{{"RANK", ""}, {"WORLD_SIZE", ""}}, Variables{{"MASTER_ADDR", "a"}}, Variables{{"LOCAL_RANK", "1"}}}) {
    EXPECT_EQ(read(variables).size, 1);
    EXPECT_FALSE(read(variables).hosts_store);
  }
}

TEST(Launch, ReadsTorchrunsVariables) {
  const Ranks ranks = read(kTorchrun);
  EXPECT_EQ(ranks.rank, 5);
  EXPECT_EQ(ranks.size, 8);
  EXPECT_EQ(ranks.local_rank, 1);
  EXPECT_EQ(ranks.host, "node1");
  EXPECT_EQ(ranks.port, 1234);
  EXPECT_FALSE(ranks.one_host);
  EXPECT_FALSE(ranks.hosts_store);
  EXPECT_TRUE(read(with(kTorchrun, {{"RANK", "0"}})).hosts_store);
  EXPECT_TRUE(read(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "8"}})).one_host);
}

TEST(Launch, JoinsTheStoreOfTorchrunsAgent) {
  const Variables agent =
      with(kTorchrun, {{"RANK", "0"}, {"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"TORCHELASTIC_RESTART_COUNT", "2"}});
  EXPECT_FALSE(read(agent).hosts_store);
  EXPECT_EQ(read(agent).attempt, "2");
  EXPECT_TRUE(read(with(agent, {{"TORCHELASTIC_USE_AGENT_STORE", "False"}})).hosts_store);
  EXPECT_THAT(error_of(with(agent, {{"TORCHELASTIC_USE_AGENT_STORE", "yes"}})), HasSubstr("expected True or False"));
}

TEST(Launch, ReadsAPyTorchJobOfKubernetes) {
  const Ranks ranks =
      read({{"RANK", "2"}, {"WORLD_SIZE", "3"}, {"MASTER_ADDR", "job-master-0"}, {"MASTER_PORT", "23456"}});
  EXPECT_EQ(ranks.rank, 2);
  EXPECT_EQ(ranks.local_rank, 0);
  EXPECT_FALSE(ranks.one_host);
}

TEST(Launch, NamesTheVariableThatIsMissingOrWrong) {
  EXPECT_EQ(error_of(without(kTorchrun, "WORLD_SIZE")),
            "WORLD_SIZE is not set, but RANK is: expected the number of ranks");
  EXPECT_EQ(error_of(without(kTorchrun, "RANK")), "RANK is not set, but WORLD_SIZE=8: expected this process's rank");
  EXPECT_THAT(error_of(without(kTorchrun, "MASTER_ADDR")), HasSubstr("MASTER_ADDR is not set, but WORLD_SIZE=8"));
  EXPECT_THAT(error_of(without(kTorchrun, "MASTER_PORT")), HasSubstr("MASTER_PORT is not set, but WORLD_SIZE=8"));
  EXPECT_EQ(error_of(with(kTorchrun, {{"RANK", "8"}})), "RANK=8 with WORLD_SIZE=8: expected a rank from 0 to 7");
  EXPECT_THAT(error_of(with(kTorchrun, {{"RANK", "-1"}})), HasSubstr("RANK=-1: expected a whole number from 0"));
  EXPECT_THAT(error_of(with(kTorchrun, {{"RANK", "1x"}})), HasSubstr("RANK=1x"));
  EXPECT_THAT(error_of(with(kTorchrun, {{"WORLD_SIZE", "0"}})),
              HasSubstr("WORLD_SIZE=0: expected a whole number from 1"));
  EXPECT_THAT(error_of(with(kTorchrun, {{"LOCAL_RANK", "4"}})), HasSubstr("LOCAL_RANK=4 with LOCAL_WORLD_SIZE=4"));
  EXPECT_THAT(error_of(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "9"}})),
              HasSubstr("LOCAL_WORLD_SIZE=9 with WORLD_SIZE=8"));
  EXPECT_THAT(error_of(with(kTorchrun, {{"MASTER_PORT", "70000"}})),
              HasSubstr("MASTER_PORT=70000: expected a whole number from 1 to 65535"));
  EXPECT_THAT(error_of({{"WORLD_SIZE", "4"}}), HasSubstr("RANK is not set"));
}

TEST(Launch, ReadsSlurmsVariablesAndMeetsOnTheFirstHost) {
  const Ranks ranks = read(kSlurm);
  EXPECT_EQ(ranks.rank, 9);
  EXPECT_EQ(ranks.size, 16);
  EXPECT_EQ(ranks.local_rank, 1);
  EXPECT_EQ(ranks.host, "gpu003");
  EXPECT_FALSE(ranks.one_host);
  EXPECT_GE(ranks.port, 10000);
  EXPECT_LT(ranks.port, 30000);
  EXPECT_EQ(read(with(kSlurm, {{"SLURM_PROCID", "3"}})).port, ranks.port);
  EXPECT_NE(read(with(kSlurm, {{"SLURM_JOB_ID", "1234568"}})).port, ranks.port);
  EXPECT_NE(read(with(kSlurm, {{"SLURM_STEP_ID", "3"}})).port, ranks.port);
  EXPECT_EQ(read(with(kSlurm, {{"MASTER_ADDR", "login"}, {"MASTER_PORT", "5"}})).host, "login");
  EXPECT_EQ(read(with(kSlurm, {{"MASTER_ADDR", "login"}, {"MASTER_PORT", "5"}})).port, 5);
  EXPECT_EQ(read(with(kSlurm, {{"SLURM_STEP_NODELIST", "gpu003"}})).host, "127.0.0.1");
}

TEST(Launch, DoesNotTakeASlurmAllocationForRanks) {
  // The shell of salloc, or a batch script: no srun.
  EXPECT_EQ(read(without(kSlurm, "SLURM_STEP_NUM_TASKS")).size, 1);
  EXPECT_EQ(read({{"SLURM_JOB_ID", "1"}, {"SLURM_NTASKS", "16"}, {"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}}).size,
            1);
  // An interactive step of one task.
  EXPECT_EQ(read(with(kSlurm, {{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}})).size, 1);
}

TEST(Launch, WantsSlurmsVariablesComplete) {
  EXPECT_THAT(error_of(without(kSlurm, "SLURM_PROCID")), HasSubstr("SLURM_PROCID is not set"));
  EXPECT_THAT(error_of(without(kSlurm, "SLURM_JOB_ID")), HasSubstr("SLURM_JOB_ID is not set"));
  EXPECT_THAT(error_of(without(kSlurm, "SLURM_STEP_NODELIST")), HasSubstr("SLURM_STEP_NODELIST is not set"));
  EXPECT_THAT(error_of(with(kSlurm, {{"SLURM_PROCID", "16"}})),
              HasSubstr("SLURM_PROCID=16 with SLURM_STEP_NUM_TASKS=16"));
  EXPECT_THAT(error_of(with(kSlurm, {{"WORLD_SIZE", "8"}})),
              HasSubstr("WORLD_SIZE=8 contradicts SLURM_STEP_NUM_TASKS=16"));
  EXPECT_EQ(error_of(with(kSlurm, {{"WORLD_SIZE", "16"}})), "no error");
}

TEST(Launch, ReadsOpenMpisVariables) {
  const Ranks ranks = read(kOpenMpi);
  EXPECT_EQ(ranks.rank, 3);
  EXPECT_EQ(ranks.size, 4);
  EXPECT_EQ(ranks.local_rank, 3);
  EXPECT_EQ(ranks.host, "127.0.0.1");
  EXPECT_TRUE(ranks.one_host);
  EXPECT_NE(read(with(kOpenMpi, {{"PMIX_NAMESPACE", "prterun-a-18@1"}})).port, ranks.port);
  const Variables two_hosts =
      with(kOpenMpi, {{"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}});
  EXPECT_THAT(error_of(two_hosts), HasSubstr("MASTER_ADDR is not set, but OMPI_COMM_WORLD_SIZE=4"));
  EXPECT_THAT(error_of(with(two_hosts, {{"MASTER_ADDR", "a"}})), HasSubstr("MASTER_PORT is not set"));
  EXPECT_EQ(read(with(two_hosts, {{"MASTER_ADDR", "a"}, {"MASTER_PORT", "9"}})).host, "a");
  EXPECT_THAT(error_of(without(kOpenMpi, "OMPI_COMM_WORLD_RANK")), HasSubstr("OMPI_COMM_WORLD_RANK is not set"));
  EXPECT_THAT(error_of(without(kOpenMpi, "OMPI_COMM_WORLD_SIZE")), HasSubstr("OMPI_COMM_WORLD_SIZE is not set"));
}

TEST(Launch, BelievesMpirunInsideASlurmAllocation) {
  // mpirun starts one helper a host with srun, and the ranks inherit the helper's variables.
  const Variables helper = with(kSlurm, {{"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_PROCID", "1"}});
  EXPECT_EQ(read(with(helper, kOpenMpi)).size, 4);
  EXPECT_EQ(read(with(helper, kOpenMpi)).rank, 3);
}

TEST(Launch, ReadsPmisVariables) {
  EXPECT_EQ(read(kPmi).size, 2);
  EXPECT_TRUE(read(kPmi).hosts_store);
  EXPECT_THAT(error_of(without(kPmi, "MASTER_ADDR")), HasSubstr("MASTER_ADDR is not set, but PMI_SIZE=2"));
  EXPECT_EQ(read({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}}).host,
            "127.0.0.1");
  EXPECT_THAT(error_of(without(kPmi, "PMI_SIZE")), HasSubstr("PMI_SIZE is not set"));
  // srun --mpi=pmi2 sets both.
  EXPECT_EQ(read(with(kSlurm, {{"PMI_RANK", "9"}, {"PMI_SIZE", "16"}})).host, "gpu003");
}

TEST(SlurmNodeList, GivesItsFirstHostAndTheirNumber) {
  const std::vector<std::tuple<std::string, std::string, int64_t>> lists = {
      {"node1", "node1", 1},        {"node1,node2", "node1", 2},           {"node[003-005,9],other7", "node003", 5},
      {"node[7,9-12]", "node7", 5}, {"other7,node[003-005]", "other7", 4}, {"rack[0-1]n[00-15]", "rack0n00", 32},
      {"n[1-2]-ib", "n1-ib", 2},    {"gpu-a[098-101]", "gpu-a098", 4},
  };
  for (const auto& [list, first, count] : lists) {
    EXPECT_EQ(first_host(list), first);
    EXPECT_EQ(num_hosts(list), count) << list;
  }
  for (const char* list : {"", "node[1-2", "node1,,node2", "node]1[", ",", "a[b[1]]"}) {
    EXPECT_THROW(first_host(list), base::ConfigError) << list;
  }
  EXPECT_THROW(num_hosts("node[a-b]"), base::ConfigError);
}

}  // namespace
}  // namespace grpo::dist
