// SPDX-License-Identifier: BSL-1.0
// What do the cases of pacebench cost as oneTBB tasks? TBB's tasks cannot yield, wait for a wake or
// sleep, so there are only starting and fork/join; every join is the wait of a task_group.
#include <array>
#include <atomic>
#include <bit>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include "../../harness.hpp"

namespace {

using namespace pacebench;

// TBB counts the thread that waits as one of its workers: it starts one thread less, and the
// calling thread joins the arena in execute().
struct Arena {
  explicit Arena(std::size_t workers)
      : limit(tbb::global_control::max_allowed_parallelism, workers),
        arena(static_cast<int>(workers)) {}
  tbb::global_control limit;
  tbb::task_arena arena;
};

using Once = Sample (*)(tbb::task_arena& arena, std::uint64_t n);

Case make(const char* name, const char* unit, const char* what, std::uint64_t usual, Once once) {
  return {name, unit, what, [usual, once](const Settings& s) {
            const std::uint64_t n = s.n != 0 ? s.n : usual;
            auto arena = std::make_shared<Arena>(s.workers);
            return Prepared{[arena, n, once] { return once(arena->arena, n); },
                            {{"workers", std::to_string(s.workers)}, {"n", std::to_string(n)}}};
          }};
}

Sample sample(double ns, std::uint64_t operations, std::uint64_t result) {
  return {ns / static_cast<double>(operations), mix(kHashStart, result)};
}

// --- spawn/* ---

Sample spawn_local(tbb::task_arena& arena, std::uint64_t n) {
  std::atomic<std::uint64_t> left{n};
  const Stopwatch watch;
  arena.execute([&] {
    tbb::task_group tasks;
    for (std::uint64_t i = 0; i < n; ++i) {
      tasks.run([&left] { left.fetch_sub(1, std::memory_order_acq_rel); });
    }
    tasks.wait();
  });
  const double ns = watch.ns();
  require(left == 0, "every task ran");
  return sample(ns, n, n);
}

// A thread that is not in the arena has to enqueue: run() would put the tasks in its own arena.
Sample spawn_remote(tbb::task_arena& arena, std::uint64_t n) {
  tbb::task_group tasks;
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < n; ++i) arena.enqueue(tasks.defer([] {}));
  arena.execute([&] { tasks.wait(); });
  return sample(watch.ns(), n, n);
}

void chain_link(tbb::task_group& tasks, bool& ended, std::uint64_t left) {
  if (left == 0) {
    ended = true;
  } else {
    tasks.run([&tasks, &ended, left] { chain_link(tasks, ended, left - 1); });
  }
}

Sample spawn_chained(tbb::task_arena& arena, std::uint64_t n) {
  bool ended = false;
  const Stopwatch watch;
  arena.execute([&] {
    tbb::task_group tasks;
    chain_link(tasks, ended, n);
    tasks.wait();
  });
  const double ns = watch.ns();
  require(ended, "the chain reached its end");
  return sample(ns, n, n);
}

// --- fork/fib ---

std::uint64_t fib(std::uint64_t n) {
  if (n < 2) return n;
  std::uint64_t left = 0;
  tbb::task_group branch;
  branch.run([&left, n] { left = fib(n - 1); });
  const std::uint64_t right = fib(n - 2);
  branch.wait();
  return left + right;
}

Sample fork_fib(tbb::task_arena& arena, std::uint64_t n) {
  std::uint64_t fib_n = 0;
  std::uint64_t next = 1;
  for (std::uint64_t i = 0; i < n; ++i) fib_n = std::exchange(next, fib_n + next);
  const std::uint64_t calls = 2 * next - 1;
  const Stopwatch watch;
  const std::uint64_t result = arena.execute([n] { return fib(n); });
  const double ns = watch.ns();
  require(result == fib_n, "fib(n)");
  return sample(ns, calls, result);
}

// --- fork/skynet ---

std::uint64_t skynet(std::uint64_t first, std::uint64_t leaves) {
  if (leaves == 1) return first;
  std::array<std::uint64_t, 10> sums;
  const std::uint64_t share = leaves / sums.size();
  tbb::task_group children;
  for (std::uint64_t i = 0; i < sums.size(); ++i) {
    children.run([=, &sum = sums[i]] { sum = skynet(first + i * share, share); });
  }
  children.wait();
  return std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
}

Sample fork_skynet(tbb::task_arena& arena, std::uint64_t n) {
  std::uint64_t power = 1;
  while (power < n) power *= 10;
  require(power == n, "fork/skynet takes a power of ten");
  const Stopwatch watch;
  const std::uint64_t sum = arena.execute([n] { return skynet(0, n); });
  const double ns = watch.ns();
  require(sum == n * (n - 1) / 2, "the sum of the leaves");
  return sample(ns, n, sum);
}

// --- fork/nqueens ---

/// The number of solutions for each size of board: Sloane's A000170.
constexpr std::array<std::uint64_t, 13> kSolutions = {1,  1,  0,   0,   2,    10,   4,
                                                      40, 92, 352, 724, 2680, 14200};

/// The columns of the queens in the rows filled so far.
struct Board {
  std::array<std::uint8_t, 16> column{};
  std::size_t rows = 0;

  bool allows(std::uint8_t c) const {
    for (std::size_t row = 0; row < rows; ++row) {
      const std::size_t away = rows - row;
      if (column[row] == c || column[row] + away == c || c + away == column[row]) return false;
    }
    return true;
  }
  Board with(std::uint8_t c) const {
    Board next = *this;
    next.column[next.rows++] = c;
    return next;
  }
};

struct Count {
  std::uint64_t solutions = 0;
  std::uint64_t tasks = 0;
};

Count nqueens(const Board& board, std::size_t n) {
  if (board.rows == n) return {1, 1};
  std::array<Count, 16> below;
  tbb::task_group children;
  for (std::uint8_t c = 0; c < n; ++c) {
    if (!board.allows(c)) continue;
    children.run([next = board.with(c), n, &count = below[c]] { count = nqueens(next, n); });
  }
  children.wait();
  Count all{0, 1};
  for (const Count& count : below) {
    all.solutions += count.solutions;
    all.tasks += count.tasks;
  }
  return all;
}

Sample fork_nqueens(tbb::task_arena& arena, std::uint64_t n) {
  require(n < kSolutions.size(), "fork/nqueens takes a board of at most 12");
  const Stopwatch watch;
  const Count all = arena.execute([n] { return nqueens(Board{}, n); });
  const double ns = watch.ns();
  require(all.solutions == kSolutions[n], "the number of solutions");
  return {ns / static_cast<double>(all.tasks), mix(mix(kHashStart, all.solutions), all.tasks)};
}

// --- fork/matmul ---

constexpr std::size_t kLeaf = 64;

using Numbers = std::vector<double>;

/// A square part of a matrix that is stored row by row.
template <class T>
struct Block {
  T* cells;
  std::size_t stride;

  T* row(std::size_t i) const { return cells + i * stride; }
  Block quadrant(std::size_t i, std::size_t j, std::size_t half) const {
    return {cells + i * half * stride + j * half, stride};
  }
};

/// product += left * right, all kLeaf x kLeaf. The three never overlap, which lets the compiler
/// vectorise without a check, as rustc does.
void multiply_leaf(Block<const double> left, Block<const double> right, Block<double> product) {
  for (std::size_t i = 0; i < kLeaf; ++i) {
    double* __restrict to = product.row(i);
    for (std::size_t k = 0; k < kLeaf; ++k) {
      const double factor = left.row(i)[k];
      const double* __restrict from = right.row(k);
      for (std::size_t j = 0; j < kLeaf; ++j) to[j] += factor * from[j];
    }
  }
}

/// product += left * right: two steps of four quadrants each, which do not touch each other.
void multiply(Block<const double> left, Block<const double> right, Block<double> product,
              std::size_t size) {
  if (size == kLeaf) return multiply_leaf(left, right, product);
  const std::size_t half = size / 2;
  for (std::size_t k = 0; k < 2; ++k) {
    const auto part = [=](std::size_t i, std::size_t j) {
      multiply(left.quadrant(i, k, half), right.quadrant(k, j, half), product.quadrant(i, j, half),
               half);
    };
    tbb::parallel_invoke([&] { part(0, 0); }, [&] { part(0, 1); }, [&] { part(1, 0); },
                         [&] { part(1, 1); });
  }
}

/// matrix * vector: checks a product in n^2 steps, exactly, since every number here is an integer.
Numbers times(const Numbers& matrix, const Numbers& vector) {
  Numbers result;
  for (auto row = matrix.begin(); row != matrix.end(); row += std::ssize(vector)) {
    result.push_back(std::inner_product(vector.begin(), vector.end(), row, 0.0));
  }
  return result;
}

Sample fork_matmul(tbb::task_arena& arena, std::uint64_t n) {
  require(n % kLeaf == 0 && std::has_single_bit(n / kLeaf),
          "fork/matmul takes 64 times a power of two");
  Numbers left, right, product(n * n), vector(n);
  for (std::size_t at = 0; at < n * n; ++at) {
    left.push_back(static_cast<double>(at % 7));
    right.push_back(static_cast<double>(at % 5));
  }
  std::iota(vector.begin(), vector.end(), 1.0);
  const Stopwatch watch;
  arena.execute([&] { multiply({left.data(), n}, {right.data(), n}, {product.data(), n}, n); });
  const double ns = watch.ns();
  require(times(product, vector) == times(left, times(right, vector)), "the product");
  double trace = 0;
  for (std::size_t i = 0; i < n; ++i) trace += product[i * n + i];
  return sample(ns, 1'000'000, static_cast<std::uint64_t>(trace));
}

const Register registered[] = {
    Register(make("spawn/local", "ns/task", "a task that starts n others (default 1000000)",
                  1'000'000, spawn_local)),
    Register(make("spawn/remote", "ns/task",
                  "a thread outside the arena starts n tasks (10000) and waits for them", 10'000,
                  spawn_remote)),
    Register(make("spawn/chained", "ns/task", "n tasks (10000), each started by the one before",
                  10'000, spawn_chained)),
    Register(make("fork/fib", "ns/call",
                  "naive fib(n) (30), a task for the left branch of every call", 30, fork_fib)),
    Register(make("fork/skynet", "ns/leaf",
                  "a tree of tasks, ten children each, with n leaves (1000000), summed up",
                  1'000'000, fork_skynet)),
    Register(make("fork/nqueens", "ns/task",
                  "all solutions on a board of n (10), a task per placed queen", 10, fork_nqueens)),
    Register(make("fork/matmul", "ms",
                  "product of two n x n matrices (512) by quadrants, a task for each down to 64",
                  512, fork_matmul)),
};

}  // namespace
