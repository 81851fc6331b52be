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
        what: "all solutions on a board of n (10), a task for every queen placed",
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
    Sample { value: ns / calls as f64, work_hash: hash(result) }
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
    assert!((0..19).any(|e| 10u64.pow(e) == n), "fork/skynet takes a power of ten");
    let start = Instant::now();
    let sum = on_worker(rt, skynet(0, n));
    let ns = start.elapsed().as_nanos() as f64;
    assert_eq!(sum, n * (n - 1) / 2, "the sum of the leaves");
    Sample { value: ns / n as f64, work_hash: hash(sum) }
}

/// The squares of the next row that are attacked along columns and along both diagonals.
#[derive(Clone, Copy)]
struct Board {
    all: u32,
    columns: u32,
    falling: u32,
    rising: u32,
}

impl Board {
    fn empty(n: u64) -> Board {
        assert!(n <= 16, "fork/nqueens takes a board of at most 16");
        Board { all: (1 << n) - 1, columns: 0, falling: 0, rising: 0 }
    }

    fn full(self) -> bool {
        self.columns == self.all
    }

    /// The boards that a queen in the next row leads to.
    fn next(self) -> impl Iterator<Item = Board> {
        let mut free = self.all & !(self.columns | self.falling | self.rising);
        std::iter::from_fn(move || {
            let queen = free & free.wrapping_neg();
            free ^= queen;
            (queen != 0).then(|| Board {
                all: self.all,
                columns: self.columns | queen,
                falling: (self.falling | queen) << 1,
                rising: (self.rising | queen) >> 1,
            })
        })
    }

    /// How many queens the search places, and how many boards they fill: the answer to check.
    fn search(self) -> (u64, u64) {
        self.next().fold((0, u64::from(self.full())), |(placed, filled), board| {
            let below = board.search();
            (placed + 1 + below.0, filled + below.1)
        })
    }
}

fn nqueens(board: Board) -> Boxed<u64> {
    Box::pin(async move {
        if board.full() {
            return 1;
        }
        let children: Vec<_> = board.next().map(|next| tokio::spawn(nqueens(next))).collect();
        let mut filled = 0;
        for child in children {
            filled += child.await.expect("the child ended");
        }
        filled
    })
}

fn fork_nqueens(rt: &Runtime, n: u64) -> Sample {
    let board = Board::empty(n);
    let (placed, filled) = board.search();
    let start = Instant::now();
    let result = on_worker(rt, nqueens(board));
    let ns = start.elapsed().as_nanos() as f64;
    assert_eq!(result, filled, "the number of solutions");
    Sample { value: ns / placed as f64, work_hash: hash(result) }
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
        Block { at: matrix.as_mut_ptr(), stride: n }
    }

    fn quadrant(self, row: usize, column: usize, half: usize) -> Block {
        // SAFETY: row and column are 0 or 1 and half is half the side of this block.
        let at = unsafe { self.at.add(row * half * self.stride + column * half) };
        Block { at, stride: self.stride }
    }

    fn row(self, i: usize) -> *mut f64 {
        // SAFETY: i is below the side of this block.
        unsafe { self.at.add(i * self.stride) }
    }
}

/// product += left * right, all LEAF x LEAF.
fn multiply_leaf(left: Block, right: Block, product: Block) {
    for i in 0..LEAF {
        // SAFETY: rows of LEAF numbers; no other task uses this part of the product meanwhile.
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
    let matrix = |cell: fn(usize, usize) -> usize| -> Vec<f64> {
        (0..size * size).map(|at| cell(at / size, at % size) as f64).collect()
    };
    let mut left = matrix(|i, j| (3 * i + j) % 7);
    let mut right = matrix(|i, j| (i + 5 * j) % 11);
    let mut product = vec![0.0; size * size];
    let (l, r, p) =
        (Block::of(&mut left, size), Block::of(&mut right, size), Block::of(&mut product, size));
    let start = Instant::now();
    on_worker(rt, multiply(l, r, p, size));
    let ms = start.elapsed().as_secs_f64() * 1e3;
    let vector: Vec<f64> = (1..=size).map(|j| j as f64).collect();
    let checked = times(&product, &vector);
    assert_eq!(checked, times(&left, &times(&right, &vector)), "the product");
    Sample { value: ms, work_hash: hash(checked.iter().sum::<f64>() as u64) }
}
