#pragma once

#include <csignal>
#include <vector>

namespace grpo::app {

/// The signals that stop a run: SIGINT, SIGTERM, SIGUSR1, SIGUSR2 (submitit and some batch systems send these two
/// before they preempt a job), and SIGHUP (a closed terminal) unless this process was told to ignore it.
std::vector<int> stop_signals();
sigset_t set_of(const std::vector<int>& numbers);

/// From now on the signals of stop_signals() wait until handle_stop_signals takes them, so that one that comes while a
/// run gets ready stops it in order. Processes that this one starts inherit that.
void block_stop_signals();

/// From now on calls `handler` with the number of each of stop_signals() that this process gets. It runs on a thread of
/// its own, but may only do what a signal handler may. SIGPIPE is ignored: if the reader of our output is gone, the run
/// must not end unsaved (trainer::train notices it and stops).
///
/// A signal must never interrupt a thread that computes: for larger inner dimensions oneDNN's fp32 GEMM for
/// AVX-512 points the stack pointer into a buffer on the heap, so a handler's frame would overwrite what lies
/// below the buffer and crash the process later. Call this before any thread is started, since threads inherit
/// that these signals are blocked.
void handle_stop_signals(void (*handler)(int));

}  // namespace grpo::app
