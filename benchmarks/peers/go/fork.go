// SPDX-License-Identifier: BSL-1.0
// What does fork and join cost in Go? Every fork is a go statement, every join a WaitGroup.
package main

import (
	"math/bits"
	"sync"
	"time"
)

var forkCases = []benchCase{
	{"fork/fib", "ns/call", "naive fib(n) (30), a goroutine for the left branch of every call", 30, forkFib},
	{"fork/skynet", "ns/leaf", "a tree of goroutines, ten children each, with n leaves (1000000), summed up", 1_000_000, forkSkynet},
	{"fork/nqueens", "ns/task", "all solutions on a board of n (10), a goroutine for every queen placed", 10, forkNQueens},
	{"fork/matmul", "ms", "product of two n x n matrices (512) by quadrants, a goroutine for each down to 64", 512, forkMatmul},
}

func fib(n uint64) uint64 {
	if n < 2 {
		return n
	}
	var left uint64
	var ended sync.WaitGroup
	ended.Add(1)
	go func() {
		left = fib(n - 1)
		ended.Done()
	}()
	right := fib(n - 2)
	ended.Wait()
	return left + right
}

func forkFib(n uint64) sample {
	fibN, next := uint64(0), uint64(1)
	for i := uint64(0); i < n; i++ {
		fibN, next = next, fibN+next
	}
	start := time.Now()
	result := fib(n)
	value := per(start, 2*next-1) // so many calls
	require(result == fibN, "fib(n)")
	return sample{value, hash(result)}
}

func skynet(first, leaves uint64) uint64 {
	if leaves == 1 {
		return first
	}
	var sums [10]uint64
	var ended sync.WaitGroup
	ended.Add(len(sums))
	share := leaves / 10
	for i := range sums {
		go func(i int) {
			sums[i] = skynet(first+uint64(i)*share, share)
			ended.Done()
		}(i)
	}
	ended.Wait()
	sum := uint64(0)
	for _, s := range sums {
		sum += s
	}
	return sum
}

func forkSkynet(n uint64) sample {
	power := uint64(1)
	for power < n {
		power *= 10
	}
	require(power == n, "fork/skynet takes a power of ten")
	start := time.Now()
	sum := skynet(0, n)
	value := per(start, n)
	require(sum == n*(n-1)/2, "the sum of the leaves")
	return sample{value, hash(sum)}
}

// The squares of the next row that are attacked along columns and along both diagonals.
type board struct{ all, columns, falling, rising uint32 }

func (b board) full() bool { return b.columns == b.all }

// free has a bit for every square of the next row that takes a queen.
func (b board) free() uint32 { return b.all &^ (b.columns | b.falling | b.rising) }

// place puts a queen on the lowest free square.
func (b board) place(free uint32) board {
	queen := free & -free
	return board{b.all, b.columns | queen, (b.falling | queen) << 1, (b.rising | queen) >> 1}
}

// search counts the queens placed and the boards they fill: the answer to check.
func (b board) search() (placed, filled uint64) {
	if b.full() {
		return 0, 1
	}
	for free := b.free(); free != 0; free &= free - 1 {
		p, f := b.place(free).search()
		placed, filled = placed+1+p, filled+f
	}
	return placed, filled
}

func nqueens(b board) uint64 {
	if b.full() {
		return 1
	}
	free := b.free()
	found := make([]uint64, bits.OnesCount32(free))
	var ended sync.WaitGroup
	ended.Add(len(found))
	for i := range found {
		go func(i int, next board) {
			found[i] = nqueens(next)
			ended.Done()
		}(i, b.place(free))
		free &= free - 1
	}
	ended.Wait()
	filled := uint64(0)
	for _, f := range found {
		filled += f
	}
	return filled
}

func forkNQueens(n uint64) sample {
	require(n <= 16, "fork/nqueens takes a board of at most 16")
	empty := board{all: 1<<n - 1}
	placed, filled := empty.search()
	start := time.Now()
	result := nqueens(empty)
	value := per(start, placed)
	require(result == filled, "the number of solutions")
	return sample{value, hash(result)}
}

const leaf = 64

// A square part of a matrix that is stored row by row.
type block struct {
	cells  []float64
	stride int
}

func (b block) quadrant(row, column, half int) block {
	return block{b.cells[row*half*b.stride+column*half:], b.stride}
}

// multiplyLeaf does product += left * right, all leaf x leaf.
func multiplyLeaf(left, right, product block) {
	for i := 0; i < leaf; i++ {
		to := product.cells[i*product.stride:][:leaf]
		for k, factor := range left.cells[i*left.stride:][:leaf] {
			from := right.cells[k*right.stride:][:leaf]
			for j := range to {
				to[j] += factor * from[j]
			}
		}
	}
}

// multiply does product += left * right: two steps of four quadrants each, which do not touch each
// other.
func multiply(left, right, product block, size int) {
	if size == leaf {
		multiplyLeaf(left, right, product)
		return
	}
	half := size / 2
	for k := 0; k < 2; k++ {
		var ended sync.WaitGroup
		ended.Add(4)
		for quadrant := 0; quadrant < 4; quadrant++ {
			go func(i, j, k int) {
				multiply(left.quadrant(i, k, half), right.quadrant(k, j, half), product.quadrant(i, j, half), half)
				ended.Done()
			}(quadrant/2, quadrant%2, k)
		}
		ended.Wait()
	}
}

// times is matrix * vector: checks a product in n^2 steps, exactly, since every number here is an
// integer.
func times(matrix, vector []float64) []float64 {
	result := make([]float64, len(vector))
	for i := range result {
		for j, v := range vector {
			result[i] += matrix[i*len(vector)+j] * v
		}
	}
	return result
}

func forkMatmul(n uint64) sample {
	require(n%leaf == 0 && bits.OnesCount64(n/leaf) == 1, "fork/matmul takes 64 times a power of two")
	size := int(n)
	left, right, product := make([]float64, n*n), make([]float64, n*n), make([]float64, n*n)
	vector := make([]float64, n)
	for i := range vector {
		vector[i] = float64(i + 1)
		for j := range vector {
			left[i*size+j] = float64((3*i + j) % 7)
			right[i*size+j] = float64((i + 5*j) % 11)
		}
	}
	start := time.Now()
	multiply(block{left, size}, block{right, size}, block{product, size}, size)
	ms := per(start, 1e6)
	checked, expected := times(product, vector), times(left, times(right, vector))
	sum := 0.0
	for i := range checked {
		require(checked[i] == expected[i], "the product")
		sum += checked[i]
	}
	return sample{ms, hash(uint64(sum))}
}
