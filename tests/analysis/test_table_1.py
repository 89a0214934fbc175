"""Table 1 of the paper out of the formulas of the parts."""

from zoo.analysis.table_1 import table_1

PAPER = {  # complexity, sequential operations, path length, with the paper's own words in the last column
    "Self-Attention": ("n²·d", "1", "1"),
    "Recurrent": ("n·d²", "n", "n"),
    "Convolutional": ("k·n·d²", "1", "n/k"),  # O(log n) where it is dilated, O(n/k) where it is contiguous
    "Self-Attention (restricted)": ("r·n·d", "1", "n/r"),
}


def test_the_orders_are_the_papers():
    found = {row["layer"]: (row["complexity"], row["sequential"], row["path"]) for row in table_1(64)}
    assert found == PAPER


def test_the_numbers_at_a_length_are_those_worked_out_by_hand():
    n, d, r = 1000, 512, 65
    found = {
        row["layer"]: (row["flops"], row["n_sequential"], row["path_length"]) for row in table_1(n, d_model=d)
    }
    assert found == {
        "Self-Attention": (8 * n * d**2 + 4 * n**2 * d, 1, 1),
        # In each direction a product of the input and one of the state; then both are projected.
        "Recurrent": (2 * 4 * n * d**2 + 4 * n * d**2, n, n),
        "Convolutional": (2 * 3 * n * d**2, 1, n - 1),
        "Self-Attention (restricted)": (8 * n * d**2 + 4 * r * n * d, 1, 32),  # ⌈999 / 32⌉
    }
