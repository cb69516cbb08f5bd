"""Trees: paths there and back, lanes, and choosing row by row."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sandbox.core.tree import Tree, by_seed, choose, finite_rows, flatten, refill, stack, to_lanes, to_rows, tree_map

names = st.text("abc", min_size=1, max_size=2)
tensors = st.integers(0, 9).map(torch.tensor)
trees = st.recursive(tensors, lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=8)
masks = st.lists(st.booleans(), min_size=1, max_size=6).map(lambda bits: torch.tensor(bits, dtype=torch.bool))


def identical(a: Tree, b: Tree) -> bool:
    """Of one structure, with the very same tensors as leaves."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return a is b
    return a.keys() == b.keys() and all(identical(a[name], b[name]) for name in a)


@given(trees)
def test_refill_inverts_flatten_empty_branches_and_all(tree: Tree) -> None:
    assert identical(refill(tree, flatten(tree)), tree)


@given(trees)
def test_paths_are_sorted_at_every_node(tree: Tree) -> None:
    paths = [path.split("/") for path in flatten(tree)]
    assert paths == sorted(paths)


@given(trees)
def test_a_prefix_stands_before_every_path(tree: Tree) -> None:
    joined = [f"rule/{path}" if path else "rule" for path in flatten(tree)]
    assert list(flatten(tree, "rule")) == joined


@given(trees)
def test_tree_map_meets_the_same_leaf_in_every_tree(tree: Tree) -> None:
    difference = flatten(tree_map(lambda a, b: 2 * a - b, tree, tree))
    assert {path: int(leaf) for path, leaf in difference.items()} == {k: int(v) for k, v in flatten(tree).items()}


@given(st.integers(1, 4), st.integers(1, 4))
def test_lane_is_seed_times_n_plus_task(seeds: int, tasks: int) -> None:
    rows = torch.arange(seeds * 2.0).reshape(seeds, 2)
    lanes = to_lanes(rows, tasks)
    assert isinstance(lanes, Tensor)
    assert lanes.shape == (seeds * tasks, 2)
    for lane, row in enumerate(lanes):
        assert torch.equal(row, rows[lane // tasks])
    assert torch.equal(by_seed(lanes, tasks), rows[:, None].expand(seeds, tasks, 2))


@given(trees, st.integers(1, 3))
def test_to_rows_repeats_a_tree_and_stack_gathers_trees(tree: Tree, rows: int) -> None:
    repeated, stacked = flatten(to_rows(tree, rows)), flatten(stack([tree] * rows))
    assert repeated.keys() == stacked.keys() == flatten(tree).keys()
    for path, leaf in flatten(tree).items():
        assert torch.equal(repeated[path], stacked[path])
        assert repeated[path].tolist() == [int(leaf)] * rows


def test_rows_made_of_one_leaf_share_no_memory() -> None:
    leaf = torch.zeros(2, requires_grad=True)
    rows = to_rows(leaf, 3)
    assert isinstance(rows, Tensor)
    assert not rows.requires_grad
    rows[0] += 1
    assert rows.tolist() == [[1, 1], [0, 0], [0, 0]]
    assert leaf.tolist() == [0, 0]


@given(masks)
def test_choose_takes_whole_rows_bitwise(mask: Tensor) -> None:
    rows = mask.shape[0]
    yes, no = {"x": torch.full((rows, 2), -0.0)}, {"x": torch.full((rows, 2), torch.nan)}
    chosen = flatten(choose(mask, yes, no))["x"]
    assert torch.equal(chosen.isnan().all(dim=1), ~mask)
    assert bool(chosen[mask].signbit().all())  # -0.0 stays -0.0: no arithmetic on what is kept


def test_choose_keeps_a_leaf_that_is_the_same_on_both_sides() -> None:
    leaf = torch.ones(2)
    assert choose(torch.tensor([True, False]), leaf, leaf) is leaf


def test_choose_sends_each_row_its_own_gradient() -> None:
    yes, no = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    chosen = choose(torch.tensor([True, False, True]), yes, no)
    assert isinstance(chosen, Tensor)
    to_yes, to_no = torch.autograd.grad(chosen.sum(), (yes, no))
    assert to_yes.tolist() == [1, 0, 1]
    assert to_no.tolist() == [0, 1, 0]


@given(masks, st.sampled_from([torch.nan, torch.inf, -torch.inf]), st.integers(0, 3))
def test_finite_rows_names_the_rows_with_a_bad_number(good: Tensor, bad: float, column: int) -> None:
    rows = good.shape[0]
    leaf = torch.ones(rows, 2, 2)
    leaf.reshape(rows, 4)[~good, column] = bad
    assert torch.equal(finite_rows({"a": torch.ones(rows), "b": leaf}, rows), good)


def test_finite_rows_folds_lanes_into_their_seed_and_passes_integers() -> None:
    lanes = torch.tensor([1.0, 1.0, 1.0, torch.nan])
    assert finite_rows({"x": lanes, "label": torch.arange(4)}, 2).tolist() == [True, False]
