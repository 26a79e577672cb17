// Package graph is a small, generic, deterministic directed graph: an edge
// leads from a node to what it depends on.
package graph

import (
	"fmt"
	"slices"
	"strings"
)

// Graph is a set of nodes with their dependencies. It is immutable after New.
type Graph[K comparable] struct {
	nodes   []K
	deps    map[K][]K
	compare func(a, b K) int
}

// CycleError names the members of a dependency cycle: each depends on the next
// and the last on the first.
type CycleError[K comparable] struct {
	Members []K
}

// Error lists the cycle as "a → b → a".
func (e *CycleError[K]) Error() string {
	names := make([]string, 0, len(e.Members)+1)
	for _, m := range e.Members {
		names = append(names, fmt.Sprint(m))
	}
	return "dependency cycle: " + strings.Join(append(names, names[0]), " → ")
}

// New returns the graph of nodes. deps maps a node to what it depends on;
// dependencies that are not among nodes are left out. compare orders nodes
// wherever the graph itself leaves the order open.
func New[K comparable](nodes []K, deps map[K][]K, compare func(a, b K) int) *Graph[K] {
	g := &Graph[K]{nodes: slices.Clone(nodes), deps: make(map[K][]K, len(nodes)), compare: compare}
	slices.SortFunc(g.nodes, compare)
	g.nodes = slices.Compact(g.nodes)
	for _, n := range g.nodes {
		for _, d := range deps[n] {
			if _, known := slices.BinarySearchFunc(g.nodes, d, compare); known {
				g.deps[n] = append(g.deps[n], d)
			}
		}
		slices.SortFunc(g.deps[n], compare)
		g.deps[n] = slices.Compact(g.deps[n])
	}
	return g
}

// Levels returns the nodes in waves: a node's dependencies all stand in
// earlier waves, and each node stands in the earliest wave it can. A cycle is
// answered with a *CycleError.
func (g *Graph[K]) Levels() ([][]K, error) {
	if cycle := g.cycle(); cycle != nil {
		return nil, &CycleError[K]{Members: cycle}
	}
	level := make(map[K]int, len(g.nodes))
	var of func(n K) int
	of = func(n K) int {
		if l, done := level[n]; done {
			return l
		}
		l := 0
		for _, d := range g.deps[n] {
			l = max(l, of(d)+1)
		}
		level[n] = l
		return l
	}
	var levels [][]K
	for _, n := range g.nodes {
		l := of(n)
		for len(levels) <= l {
			levels = append(levels, nil)
		}
		levels[l] = append(levels[l], n)
	}
	return levels, nil
}

// Direct returns what n itself depends on, in order.
func (g *Graph[K]) Direct(n K) []K { return slices.Clone(g.deps[n]) }

// Dependencies returns all that n depends on, directly or not, in order.
func (g *Graph[K]) Dependencies(n K) []K {
	return g.reach(n, func(k K) []K { return g.deps[k] })
}

// Dependents returns all that depends on n, directly or not, in order.
func (g *Graph[K]) Dependents(n K) []K {
	up := make(map[K][]K, len(g.nodes))
	for _, k := range g.nodes {
		for _, d := range g.deps[k] {
			up[d] = append(up[d], k)
		}
	}
	return g.reach(n, func(k K) []K { return up[k] })
}

func (g *Graph[K]) reach(from K, next func(K) []K) []K {
	seen := map[K]bool{from: true}
	var found []K
	for queue := []K{from}; len(queue) > 0; queue = queue[1:] {
		for _, k := range next(queue[0]) {
			if !seen[k] {
				seen[k] = true
				found = append(found, k)
				queue = append(queue, k)
			}
		}
	}
	slices.SortFunc(found, g.compare)
	return found
}

// cycle returns the members of the first cycle in order, or nil.
func (g *Graph[K]) cycle() []K {
	done := make(map[K]bool, len(g.nodes))
	var path []K
	var visit func(n K) []K
	visit = func(n K) []K {
		if done[n] {
			return nil
		}
		if i := slices.Index(path, n); i >= 0 {
			return slices.Clone(path[i:])
		}
		path = append(path, n)
		for _, d := range g.deps[n] {
			if c := visit(d); c != nil {
				return c
			}
		}
		path = path[:len(path)-1]
		done[n] = true
		return nil
	}
	for _, n := range g.nodes {
		if c := visit(n); c != nil {
			return c
		}
	}
	return nil
}
