#pragma once

#include <csignal>
#include <vector>

namespace grpo::app {

/// SIGINT, SIGTERM, SIGUSR1, SIGUSR2 (what submitit and some batch systems send before they preempt a job), and SIGHUP
/// (a closed terminal) unless this process was told to ignore it.
std::vector<int> stop_signals();
sigset_t set_of(const std::vector<int>& numbers);

/// handler is called with the number of each of stop_signals() that this process gets from now on, on a thread of its
/// own that does nothing else; it may only do what a signal handler may. SIGPIPE is ignored: a reader that is gone must
/// not end a run unsaved (trainer::train notices it and stops).
///
/// No thread that computes may be interrupted by a signal: oneDNN's fp32 GEMM for AVX-512 points the stack pointer into
/// a buffer on the heap for larger inner dimensions, so that a handler's frame would overwrite what lies below it. Two
/// of 40 evaluations that were stopped on a busy machine died of "corrupted size vs. prev_size" where that buffer is
/// freed. Call it before any thread is started: threads inherit that these signals are blocked.
void handle_stop_signals(void (*handler)(int));

}  // namespace grpo::app
