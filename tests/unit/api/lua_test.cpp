// SPDX-License-Identifier: BSL-1.0
// Proves that an interpreter written in C runs in tasks as it is: Lua, with its own coroutines and
// errors by longjmp, is preempted in its count hook and waits on its stack in a function of ours.
// Built where Lua 5.4 is installed.
#include <atomic>
#include <string>
#include <vector>

extern "C" {
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
}

#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"
#include "unit/api/fixtures.hpp"

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

std::atomic<std::uint64_t> hooks{0};

/// What a monitor does after a slice.
[[gnu::noinline]] void ask_for_preemption() {
  if (core::ExecutorRuntime* runtime = core::machine::this_thread().runtime) {
    runtime->port().ask(core::Ask::slice, core::machine::now());
  }
}

void give_way(lua_State*, lua_Debug*) {
  ++hooks;
  ask_for_preemption();
  preempt_point();
}

/// doubled(x): waits on the stack for a task.
int doubled(lua_State* lua) {
  const auto work = [](lua_Integer x) -> task<lua_Integer> {
    co_await yield();
    co_return 2 * x;
  };
  lua_pushinteger(lua, await_here(work(luaL_checkinteger(lua, 1))));
  return 1;
}

// Squares from a coroutine of Lua, an error in each of them, and a wait: i*i, doubled, for i to n.
constexpr const char* kScript = R"(
  local n = ...
  local squares = coroutine.wrap(function()
    for i = 1, n do
      local caught, why = pcall(function() error('error ' .. i, 0) end)
      if caught or why ~= 'error ' .. i then coroutine.yield(-1) end
      local square = 0
      for _ = 1, i do square = square + i end
      coroutine.yield(square)
    end
  end)
  local sum = 0
  for _ = 1, n do sum = sum + doubled(squares()) end
  return sum
)";

lua_Integer run_script(lua_Integer n) {
  lua_State* lua = luaL_newstate();
  if (lua == nullptr) return -1;
  luaL_openlibs(lua);
  lua_register(lua, "doubled", &doubled);
  lua_sethook(lua, &give_way, LUA_MASKCOUNT, 50);
  lua_Integer sum = -1;
  if (luaL_loadstring(lua, kScript) == LUA_OK) {
    lua_pushinteger(lua, n);
    if (lua_pcall(lua, 1, 1, 0) == LUA_OK) sum = lua_tointeger(lua, -1);
  }
  lua_close(lua);
  return sum;
}

}  // namespace

TEST_CASE(
    "Lua in tasks is preempted in its hook and waits on the stack, coroutines and errors too") {
  runtime rt(one_worker());
  std::atomic<bool> over{false};
  const auto yields = [&over]() -> task<> {  // somebody to give way to
    while (!over) co_await yield();
  };
  auto other = rt.spawn({}, yields);
  const lua_Integer n = 300;
  std::vector<join_handle<lua_Integer>> tasks;
  for (int i = 0; i < 8; ++i) tasks.push_back(rt.spawn({}, [] { return run_script(n); }));
  for (auto& each : tasks) CHECK(each.join() == n * (n + 1) * (2 * n + 1) / 6 * 2);
  over = true;
  other.join();
  CHECK(hooks >= 100);
  CHECK(rt.stats().total.demotions_safepoint >= 8);  // the first time each, at the least
  CHECK(rt.stats().total.stack_waits >= 8 * n);
  CHECK(rt.stats().total.weak_live == 0);
}
