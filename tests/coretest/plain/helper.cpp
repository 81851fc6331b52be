// SPDX-License-Identifier: BSL-1.0
// Threads of the system; a signal interrupts them.
#include "helper.hpp"

#include <thread>

#include <pthread.h>
#include <csignal>

namespace coretest {

namespace {

constinit thread_local void* word_of_thread = nullptr;
void (*on_interruption)() = nullptr;

}  // namespace

struct Helper::Thread {
  std::thread thread;
};

Helper::Helper(std::function<void()> body)
    : thread_(std::make_unique<Thread>(Thread{std::thread(std::move(body))})) {}
Helper::~Helper() = default;
Helper::Helper(Helper&&) noexcept = default;
Helper& Helper::operator=(Helper&&) noexcept = default;
void Helper::join() { thread_->thread.join(); }
void Helper::interrupt() { ::pthread_kill(thread_->thread.native_handle(), SIGUSR1); }

void handle_interruptions(void (*handler)()) {
  on_interruption = handler;
  struct sigaction action{};
  action.sa_handler = [](int) { on_interruption(); };
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &action, nullptr);
}

void interrupt_self() { ::pthread_kill(::pthread_self(), SIGUSR1); }
void*& own_word() noexcept { return word_of_thread; }

}  // namespace coretest
