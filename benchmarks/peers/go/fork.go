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
	{"fork/nqueens", "ns/task", "all solutions on a board of n (10), a goroutine per placed queen", 10, forkNQueens},
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
	return sample{value: value, workHash: hash(result)}
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
	return sample{value: value, workHash: hash(sum)}
}

// The number of solutions for each size of board: Sloane's A000170.
var solutions = []uint64{1, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200}

// The columns of the queens in the rows filled so far.
type board struct {
	column [16]uint8
	rows   int
}

func (b *board) allows(column int) bool {
	for row, queen := range b.column[:b.rows] {
		away := b.rows - row
		if int(queen) == column || int(queen)+away == column || int(queen)-away == column {
			return false
		}
	}
	return true
}

func (b board) with(column int) board {
	b.column[b.rows] = uint8(column)
	b.rows++
	return b
}

type count struct{ solutions, tasks uint64 }

func nqueens(b board, n int) count {
	if b.rows == n {
		return count{1, 1}
	}
	var below [16]count
	var ended sync.WaitGroup
	for column := 0; column < n; column++ {
		if b.allows(column) {
			ended.Add(1)
			go func(column int) {
				below[column] = nqueens(b.with(column), n)
				ended.Done()
			}(column)
		}
	}
	ended.Wait()
	all := count{0, 1}
	for _, c := range below[:n] {
		all.solutions += c.solutions
		all.tasks += c.tasks
	}
	return all
}

func forkNQueens(n uint64) sample {
	require(n < uint64(len(solutions)), "fork/nqueens takes a board of at most 12")
	start := time.Now()
	all := nqueens(board{}, int(n))
	value := per(start, all.tasks)
	require(all.solutions == solutions[n], "the number of solutions")
	return sample{value: value, workHash: hash(all.solutions, all.tasks)}
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
	for at := range product {
		left[at], right[at] = float64(at%7), float64(at%5)
	}
	vector := make([]float64, n)
	for i := range vector {
		vector[i] = float64(i + 1)
	}
	start := time.Now()
	multiply(block{left, size}, block{right, size}, block{product, size}, size)
	ms := per(start, 1e6)
	trace := 0.0
	checked, expected := times(product, vector), times(left, times(right, vector))
	for i := range checked {
		require(checked[i] == expected[i], "the product")
		trace += product[i*size+i]
	}
	return sample{value: ms, workHash: hash(uint64(trace))}
}
