// SPDX-License-Identifier: BSL-1.0
// What does it cost to split work in two and wait for both halves? The classic recursive cases,
// each with a task per call, through when_all. They do not answer how a parallel algorithm should
// be written: a real one would stop splitting earlier.
#include <array>
#include <memory>
#include <vector>

#include <paceline/paceline.hpp>

#include "harness.hpp"

namespace {

using namespace pacebench;
using paceline::task;
using paceline::when_all;

std::shared_ptr<paceline::runtime> make_runtime(const Settings& s) {
  return std::make_shared<paceline::runtime>(paceline::runtime_options{.workers = s.workers});
}

std::map<std::string, std::string> params(const Settings& s, std::uint64_t n) {
  return {{"workers", std::to_string(s.workers)}, {"n", std::to_string(n)}};
}

// --- fork/fib ---

task<std::uint64_t> fib(std::uint64_t n) {
  if (n < 2) co_return n;
  const auto [a, b] = co_await when_all(fib(n - 1), fib(n - 2));
  co_return a + b;
}

std::uint64_t fib_serial(std::uint64_t n) {
  return n < 2 ? n : fib_serial(n - 1) + fib_serial(n - 2);
}

/// Calls of fib that fib(n) makes, itself included: 2 fib(n + 1) - 1.
double fib_calls(std::uint64_t n) { return 2.0 * static_cast<double>(fib_serial(n + 1)) - 1.0; }

const Register fib_case({"fork/fib", "ns/call",
                         "naive parallel Fibonacci of n (25), a task per call",
                         [](const Settings& s) {
                           const std::uint64_t n = s.n != 0 ? s.n : 25;
                           auto rt = make_runtime(s);
                           const std::uint64_t expected = fib_serial(n);
                           const double calls = fib_calls(n);
                           return Prepared{[=] {
                                             const Stopwatch watch;
                                             const std::uint64_t got = rt->block_on(fib(n));
                                             const double ns = watch.ns();
                                             require(got == expected, "the Fibonacci number");
                                             return Sample{ns / calls, mix(kHashStart, got)};
                                           },
                                           params(s, n)};
                         }});

// --- fork/skynet ---

task<std::uint64_t> skynet(std::uint64_t first, std::uint64_t leaves) {
  if (leaves == 1) co_return first;
  const std::uint64_t each = leaves / 10;
  std::vector<task<std::uint64_t>> children;
  children.reserve(10);
  for (std::uint64_t i = 0; i < 10; ++i) children.push_back(skynet(first + i * each, each));
  std::uint64_t sum = 0;
  for (const std::uint64_t part : co_await when_all(std::move(children))) sum += part;
  co_return sum;
}

const Register skynet_case(
    {"fork/skynet", "ns/leaf",
     "a tree of tasks, ten children each, n leaves (100000, a power of 10)", [](const Settings& s) {
       std::uint64_t n = 1;
       while (n * 10 <= (s.n != 0 ? s.n : 100'000)) n *= 10;
       auto rt = make_runtime(s);
       return Prepared{[=] {
                         const Stopwatch watch;
                         const std::uint64_t sum = rt->block_on(skynet(0, n));
                         const double ns = watch.ns();
                         require(sum == n * (n - 1) / 2, "the sum of the leaves");
                         return Sample{ns / static_cast<double>(n), mix(kHashStart, sum)};
                       },
                       params(s, n)};
     }});

// --- fork/nqueens ---

constexpr std::size_t kQueensMax = 16;

struct Board {
  std::array<std::uint8_t, kQueensMax> column{};
  std::size_t rows = 0;

  bool allows(std::uint8_t c) const {
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t away = rows - r;
      if (column[r] == c || column[r] + away == c || c + away == column[r]) return false;
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
  std::uint64_t tasks = 1;
};

task<Count> queens(Board board, std::size_t n) {
  Count count;
  if (board.rows == n) {
    count.solutions = 1;
    co_return count;
  }
  std::vector<task<Count>> children;
  for (std::size_t c = 0; c < n; ++c) {
    const auto column = static_cast<std::uint8_t>(c);
    if (board.allows(column)) children.push_back(queens(board.with(column), n));
  }
  if (children.empty()) co_return count;
  for (const Count& part : co_await when_all(std::move(children))) {
    count.solutions += part.solutions;
    count.tasks += part.tasks;
  }
  co_return count;
}

// Sloane's A000170.
constexpr std::array<std::uint64_t, 13> kSolutions = {1,  1,  0,   0,   2,    10,   4,
                                                      40, 92, 352, 724, 2680, 14200};

const Register queens_case(
    {"fork/nqueens", "ns/task", "n queens (9), a task per placed queen", [](const Settings& s) {
       const std::uint64_t n = std::min<std::uint64_t>(s.n != 0 ? s.n : 9, 12);
       auto rt = make_runtime(s);
       return Prepared{[=] {
                         const Stopwatch watch;
                         const Count count = rt->block_on(queens(Board{}, n));
                         const double ns = watch.ns();
                         require(count.solutions == kSolutions[n], "the number of solutions");
                         return Sample{ns / static_cast<double>(count.tasks),
                                       mix(mix(kHashStart, count.solutions), count.tasks)};
                       },
                       params(s, n)};
     }});

// --- fork/matmul ---

/// A square block of a row-major matrix.
struct Block {
  double* data;
  std::size_t size;
  std::size_t stride;
  Block quarter(std::size_t row, std::size_t column) const {
    const std::size_t half = size / 2;
    return {data + row * half * stride + column * half, half, stride};
  }
};

constexpr std::size_t kLeaf = 64;

/// Written as in the other programs of `./dev peers`: fixed size, rows that do not overlap.
void multiply_leaf(Block a, Block b, Block c) {
  for (std::size_t i = 0; i < kLeaf; ++i) {
    double* __restrict to = c.data + i * c.stride;
    for (std::size_t k = 0; k < kLeaf; ++k) {
      const double factor = a.data[i * a.stride + k];
      const double* __restrict from = b.data + k * b.stride;
      for (std::size_t j = 0; j < kLeaf; ++j) to[j] += factor * from[j];
    }
  }
}

/// c += a * b, quadrant by quadrant: four products side by side, then the other four.
task<void> multiply(Block a, Block b, Block c) {
  if (a.size <= kLeaf) {
    multiply_leaf(a, b, c);
    co_return;
  }
  for (std::size_t k = 0; k < 2; ++k) {
    co_await when_all(multiply(a.quarter(0, k), b.quarter(k, 0), c.quarter(0, 0)),
                      multiply(a.quarter(0, k), b.quarter(k, 1), c.quarter(0, 1)),
                      multiply(a.quarter(1, k), b.quarter(k, 0), c.quarter(1, 0)),
                      multiply(a.quarter(1, k), b.quarter(k, 1), c.quarter(1, 1)));
  }
}

const Register matmul_case(
    {"fork/matmul", "ms", "n x n doubles (512, a power of two), recursive, leaves of 64",
     [](const Settings& s) {
       std::size_t n = kLeaf;
       while (n * 2 <= (s.n != 0 ? s.n : 512)) n *= 2;
       auto rt = make_runtime(s);
       struct Matrices {
         std::vector<double> a, b, c;
       };
       auto m = std::make_shared<Matrices>();
       for (std::size_t i = 0; i < n * n; ++i) {
         m->a.push_back(static_cast<double>(i % 7));
         m->b.push_back(static_cast<double>(i % 5));
       }
       return Prepared{
           [=] {
             m->c.assign(n * n, 0.0);
             const Stopwatch watch;
             rt->block_on(multiply({m->a.data(), n, n}, {m->b.data(), n, n}, {m->c.data(), n, n}));
             const double ns = watch.ns();
             // Small integers: exact, so every element can be checked by a row sum.
             double trace = 0;
             for (std::size_t i = 0; i < n; ++i) {
               double expected = 0;
               for (std::size_t k = 0; k < n; ++k) {
                 expected += m->a[i * n + k] * m->b[k * n + i];
               }
               require(m->c[i * n + i] == expected, "the diagonal of the product");
               trace += expected;
             }
             return Sample{ns / 1e6, mix(kHashStart, static_cast<std::uint64_t>(trace))};
           },
           params(s, n)};
     }});

}  // namespace
