// SPDX-License-Identifier: BSL-1.0
// What does fork and join cost on tokio? Every fork is a spawn and every join awaits its handle, so
// recursion is through boxed futures.
use crate::tasks::on_worker;
use crate::{hash, Case, Sample};
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;
use tokio::runtime::Runtime;

pub const CASES: &[Case] = &[
    Case {
        name: "fork/fib",
        unit: "ns/call",
        what: "naive fib(n) (30), a task for the left branch of every call",
        n: 30,
        once: fork_fib,
    },
    Case {
        name: "fork/skynet",
        unit: "ns/leaf",
        what: "a tree of tasks, ten children each, with n leaves (1000000), summed up",
        n: 1_000_000,
        once: fork_skynet,
    },
    Case {
        name: "fork/nqueens",
        unit: "ns/task",
        what: "all solutions on a board of n (10), a task per placed queen",
        n: 10,
        once: fork_nqueens,
    },
    Case {
        name: "fork/matmul",
        unit: "ms",
        what: "product of two n x n matrices (512) by quadrants, a task for each down to 64",
        n: 512,
        once: fork_matmul,
    },
];

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn fib(n: u64) -> Boxed<u64> {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let left = tokio::spawn(fib(n - 1));
        let right = fib(n - 2).await;
        left.await.expect("the left branch ended") + right
    })
}

fn fork_fib(rt: &Runtime, n: u64) -> Sample {
    let (fib_n, next) = (0..n).fold((0, 1), |(a, b), _| (b, a + b));
    let calls = 2 * next - 1;
    let start = Instant::now();
    let result = on_worker(rt, fib(n));
    let ns = start.elapsed().as_nanos() as f64;
    assert_eq!(result, fib_n, "fib({n})");
    Sample {
        value: ns / calls as f64,
        work_hash: hash(&[result]),
        p50: None,
    }
}

fn skynet(first: u64, leaves: u64) -> Boxed<u64> {
    Box::pin(async move {
        if leaves == 1 {
            return first;
        }
        let share = leaves / 10;
        let children: [_; 10] =
            std::array::from_fn(|i| tokio::spawn(skynet(first + i as u64 * share, share)));
        let mut sum = 0;
        for child in children {
            sum += child.await.expect("the child ended");
        }
        sum
    })
}

fn fork_skynet(rt: &Runtime, n: u64) -> Sample {
    assert!(
        (0..19).any(|e| 10u64.pow(e) == n),
        "fork/skynet takes a power of ten"
    );
    let start = Instant::now();
    let sum = on_worker(rt, skynet(0, n));
    let ns = start.elapsed().as_nanos() as f64;
    assert_eq!(sum, n * (n - 1) / 2, "the sum of the leaves");
    Sample {
        value: ns / n as f64,
        work_hash: hash(&[sum]),
        p50: None,
    }
}

/// The number of solutions for each size of board: Sloane's A000170.
const SOLUTIONS: [u64; 13] = [1, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200];

/// The columns of the queens in the rows filled so far.
#[derive(Clone, Copy)]
struct Board {
    column: [u8; 16],
    rows: usize,
}

impl Board {
    fn allows(&self, column: u8) -> bool {
        self.column[..self.rows]
            .iter()
            .enumerate()
            .all(|(row, &queen)| {
                queen != column && usize::from(queen.abs_diff(column)) != self.rows - row
            })
    }

    fn with(mut self, column: u8) -> Board {
        self.column[self.rows] = column;
        self.rows += 1;
        self
    }
}

struct Count {
    solutions: u64,
    tasks: u64,
}

fn nqueens(board: Board, n: usize) -> Boxed<Count> {
    Box::pin(async move {
        let mut count = Count {
            solutions: u64::from(board.rows == n),
            tasks: 1,
        };
        if board.rows == n {
            return count;
        }
        let children: Vec<_> = (0..n as u8)
            .filter(|&column| board.allows(column))
            .map(|column| tokio::spawn(nqueens(board.with(column), n)))
            .collect();
        for child in children {
            let below = child.await.expect("the child ended");
            count.solutions += below.solutions;
            count.tasks += below.tasks;
        }
        count
    })
}

fn fork_nqueens(rt: &Runtime, n: u64) -> Sample {
    let n = n as usize;
    assert!(
        n < SOLUTIONS.len(),
        "fork/nqueens takes a board of at most 12"
    );
    let empty = Board {
        column: [0; 16],
        rows: 0,
    };
    let start = Instant::now();
    let Count { solutions, tasks } = on_worker(rt, nqueens(empty, n));
    let ns = start.elapsed().as_nanos() as f64;
    assert_eq!(solutions, SOLUTIONS[n], "the number of solutions");
    Sample {
        value: ns / tasks as f64,
        work_hash: hash(&[solutions, tasks]),
        p50: None,
    }
}

const LEAF: usize = 64;

/// A square part of a matrix, stored row by row. Tasks share matrices, which references cannot say
/// here: what spawn takes must not borrow.
#[derive(Clone, Copy)]
struct Block {
    at: *mut f64,
    stride: usize,
}

// SAFETY: the four tasks of a step write disjoint quadrants of the product and are joined before
// the next step; the factors are only read; fork_matmul keeps all three alive until the last join.
unsafe impl Send for Block {}

impl Block {
    fn of(matrix: &mut [f64], n: usize) -> Block {
        assert_eq!(matrix.len(), n * n);
        Block {
            at: matrix.as_mut_ptr(),
            stride: n,
        }
    }

    fn quadrant(self, row: usize, column: usize, half: usize) -> Block {
        // SAFETY: row and column are 0 or 1 and half is half the side of this block.
        let at = unsafe { self.at.add(row * half * self.stride + column * half) };
        Block {
            at,
            stride: self.stride,
        }
    }

    fn row(self, i: usize) -> *mut f64 {
        // SAFETY: i is below the side of this block.
        unsafe { self.at.add(i * self.stride) }
    }
}

/// product += left * right, all LEAF x LEAF.
fn multiply_leaf(left: Block, right: Block, product: Block) {
    for i in 0..LEAF {
        // SAFETY, of all three: a row has LEAF numbers, and no other task uses this part of the
        // product meanwhile.
        let to = unsafe { std::slice::from_raw_parts_mut(product.row(i), LEAF) };
        let factors = unsafe { std::slice::from_raw_parts(left.row(i), LEAF) };
        for (k, factor) in factors.iter().enumerate() {
            let from = unsafe { std::slice::from_raw_parts(right.row(k), LEAF) };
            for (sum, value) in to.iter_mut().zip(from) {
                *sum += factor * value;
            }
        }
    }
}

/// product += left * right: two steps of four quadrants each, which do not touch each other.
fn multiply(left: Block, right: Block, product: Block, size: usize) -> Boxed<()> {
    Box::pin(async move {
        if size == LEAF {
            return multiply_leaf(left, right, product);
        }
        let half = size / 2;
        for k in 0..2 {
            let quadrants = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(i, j)| {
                tokio::spawn(multiply(
                    left.quadrant(i, k, half),
                    right.quadrant(k, j, half),
                    product.quadrant(i, j, half),
                    half,
                ))
            });
            for quadrant in quadrants {
                quadrant.await.expect("the quadrant ended");
            }
        }
    })
}

/// matrix * vector: checks a product in n^2 steps, exactly, since every number here is an integer.
fn times(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    let dot = |row: &[f64]| row.iter().zip(vector).map(|(a, b)| a * b).sum();
    matrix.chunks(vector.len()).map(dot).collect()
}

fn fork_matmul(rt: &Runtime, n: u64) -> Sample {
    let size = n as usize;
    assert!(
        size % LEAF == 0 && (size / LEAF).is_power_of_two(),
        "fork/matmul takes 64 times a power of two"
    );
    let mut left: Vec<f64> = (0..size * size).map(|at| (at % 7) as f64).collect();
    let mut right: Vec<f64> = (0..size * size).map(|at| (at % 5) as f64).collect();
    let mut product = vec![0.0; size * size];
    let (l, r, p) = (
        Block::of(&mut left, size),
        Block::of(&mut right, size),
        Block::of(&mut product, size),
    );
    let start = Instant::now();
    on_worker(rt, multiply(l, r, p, size));
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let vector: Vec<f64> = (1..=size).map(|j| j as f64).collect();
    let expected = times(&left, &times(&right, &vector));
    assert!(times(&product, &vector) == expected, "the product");
    let trace: f64 = product.iter().step_by(size + 1).sum();
    Sample {
        value: ms,
        work_hash: hash(&[trace as u64]),
        p50: None,
    }
}
