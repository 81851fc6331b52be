// SPDX-License-Identifier: BSL-1.0
// hello_spawn: start tasks, let time pass, collect what they return.
#include <chrono>
#include <iostream>
#include <string>
#include <utility>

#include <paceline/paceline.hpp>

using namespace std::chrono_literals;

paceline::task<std::string> greet(std::string name, std::chrono::milliseconds after) {
  co_await paceline::sleep_for(after);
  co_return "Hello from " + name + ", " + std::to_string(after.count()) + " ms later";
}

paceline::task<void> hello() {
  auto spawned = paceline::spawn(greet("a spawned task", 30ms));  // runs from now on
  auto [one, two] = co_await paceline::when_all(greet("one", 20ms), greet("two", 10ms));
  std::cout << one << '\n' << two << '\n';
  std::cout << co_await std::move(spawned) << '\n';
}

int main() {
  paceline::runtime rt;  // a worker thread for each core
  rt.block_on(hello());
}
